"""Rows by the group that they are of, and draws of some of every group."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Groups(NamedTuple):
    """Groups in the order of their labels.

    Args:
        labels: that have a row, ascending, [group].
        rows: numbers of all rows, one group after the other, each in its order, [row].
        starts, counts: where a group begins in `rows`, and how many it has, [group].
    """

    labels: Tensor
    rows: Tensor
    starts: Tensor
    counts: Tensor


def grouped(labels: Tensor, rows: Tensor) -> Groups:
    """Groups of rows by their labels.

    Args:
        labels: of every row, [row] integers.
        rows: their numbers, [row].
    """
    order = torch.argsort(labels, stable=True)
    found, counts = torch.unique_consecutive(labels[order], return_counts=True)
    return Groups(found, rows[order], counts.cumsum(0) - counts, counts)


def latest(labels: Tensor, numbers: Tensor) -> Tensor:
    """Whether a row has the greatest number among those of its label, [row] bool.

    Args:
        labels, numbers: of every row, [row] integers; labels are not negative.
    """
    index = labels.long()
    kinds = int(labels.max()) + 1 if len(labels) else 0
    lowest = numbers.new_full((kinds,), torch.iinfo(numbers.dtype).min)
    return numbers == lowest.scatter_reduce(0, index, numbers, "amax")[index]


def draw_places(counts: Tensor, number: int, generator: torch.Generator) -> Tensor:
    """Places within groups of so many rows each, drawn uniformly and with replacement; [group, number]."""
    uniform = torch.rand(len(counts), number, generator=generator, dtype=torch.float64)
    return (uniform * counts.unsqueeze(1)).long()


def rows_at(groups: Groups, chosen: Tensor, places: Tensor) -> Tensor:
    """Numbers of the rows at places within chosen groups; [chosen, ...].

    Args:
        chosen: positions in the groups' order, [chosen].
        places: within each of them, [chosen, ...].
    """
    return groups.rows[groups.starts[chosen].unsqueeze(1) + places]


def draw_groups(groups: int, number: int, generator: torch.Generator) -> Tensor:
    """Positions of so many different ones of the groups, or of all in some order; [chosen]."""
    return torch.randperm(groups, generator=generator)[:number]
