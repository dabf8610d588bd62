"""Tasks as labelled examples: a support to learn from, and queries to be judged on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from metarl.supervised.objectives import Objective

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = "train", "validation", "test"


class Examples(NamedTuple):
    """Inputs x [example, ...] and what is asked of them, y: labels [example] or values [example, 1].

    Those of several tasks have a leading task axis.
    """

    x: Tensor
    y: Tensor


class Episodes(NamedTuple):
    """Several tasks, tensors [task, ...].

    Args:
        support: what a learner adapts to.
        query: what it is judged on; none of the support's examples.
        classes: of every label its class among those of the split, [task, label]; [task, 0] in regression.
    """

    support: Examples
    query: Examples
    classes: Tensor

    @property
    def tasks(self) -> int:
        return len(self.query.x)


class Inner(NamedTuple):
    """Episodes as an inner rule takes them: what every inner step sees, and what the outer gain does."""

    support: tuple[Examples, ...]
    query: Examples

    @property
    def tasks(self) -> int:
        return len(self.query.x)


class Pictured(NamedTuple):
    """One task of a single number x and a single y, that figures show.

    Args:
        support: the points that are given.
        curve: y over the whole domain, at x in their order.
    """

    support: Examples
    curve: Examples


def repeated(episodes: Episodes, steps: int) -> Inner:
    """Every inner step on the same support, as in the papers."""
    return Inner((episodes.support,) * steps, episodes.query)


def pooled(episodes: Episodes) -> Examples:
    """Support and queries together, the support's first; [task, example, ...]."""
    x, y = (torch.cat(both, 1) for both in zip(episodes.support, episodes.query, strict=True))
    return Examples(x, y)


@dataclass(frozen=True)
class TaskSource:
    """A distribution of tasks.

    Args:
        draw: (split, how many, generator) -> so many tasks.
        inputs: the shape of an example's x.
        outputs: labels, or numbers of a value.
        objective: what is asked of outputs.
        training_classes: classes of the split "train"; 0 in regression.
        title: for a reader, "5-way 1-shot of 480 test classes".
        pictured: a task that figures show, the same in every run; None of data that are no curves.
    """

    draw: Callable[[Split, int, torch.Generator], Episodes]
    inputs: tuple[int, ...]
    outputs: int
    objective: Objective
    training_classes: int
    title: str
    pictured: Pictured | None = None


def keyed_generator(*key: int) -> torch.Generator:
    """A generator that follows from integers >= 0 alone, and differs for others."""
    (seed,) = np.random.SeedSequence(key).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(seed) >> 1)
