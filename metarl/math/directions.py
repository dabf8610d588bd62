"""How far directions agree: cosines between vectors of parameters."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def unit_vectors(directions: Mapping[str, Tensor]) -> Tensor:
    """The directions [task, ...] as vectors of length 1, [task, D]; a zero one stays zero."""
    joined = torch.cat([value.reshape(len(value), -1) for value in directions.values()], dim=1)
    largest = joined.abs().amax(dim=1, keepdim=True)
    scaled = joined / torch.where(largest > 0, largest, 1.0)  # squares of small numbers would vanish
    lengths: Tensor = scaled.norm(dim=1, keepdim=True).clamp(min=1)
    return scaled / lengths


def mean_cosine(mean_unit_vector: Tensor, lengths: Tensor) -> float | None:
    """The mean cosine of all pairs of directions, from the mean [D] of their unit vectors.

    sum_ij u_i.u_j = |sum_i u_i|^2, of which the terms with i = j are 1. What is zero has no direction and no
    cosine; None where fewer than two have one.

    Args:
        lengths: of the unit vectors, [task]: 1, or 0 of a zero direction.
    """
    count = int(lengths.count_nonzero())
    if count < 2:
        return None
    total = len(lengths) * mean_unit_vector
    return ((total.square().sum() - count) / (count * (count - 1))).item()
