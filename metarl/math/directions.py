"""How far directions agree: cosines between vectors of parameters."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def unit_vectors(directions: Mapping[str, Tensor]) -> Tensor:
    """The directions [task, ...] as vectors of length 1, [task, D]; a zero one stays zero."""
    joined = torch.cat([value.reshape(len(value), -1) for value in directions.values()], dim=1)
    lengths: Tensor = joined.norm(dim=1, keepdim=True).clamp(min=torch.finfo(joined.dtype).tiny)
    return joined / lengths


def mean_cosine(mean_unit_vector: Tensor, count: int) -> Tensor:
    """The mean cosine of all pairs among `count` unit vectors, from their mean [D]; a scalar.

    sum_ij u_i.u_j = |sum_i u_i|^2, of which the `count` terms with i = j are 1.
    """
    cosine: Tensor = (count * mean_unit_vector.square().sum() - 1) / (count - 1)
    return cosine
