"""Moments of observations, part by part, and observations normalised by them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

EPSILON = 1e-8
"""Added to variances, as by stable-baselines3's VecNormalize."""
LIMIT = 10.0
"""Normalised numbers are cut to [-LIMIT, LIMIT], as there."""


class Moments(NamedTuple):
    """Of values [..., x]: mean [*part, x], variance about it [*part, x], and their number [*part]."""

    mean: Tensor
    variance: Tensor
    number: Tensor


def moments_of(values: Tensor, valid: Tensor) -> Moments:
    """The moments of all valid values, in float64; of none, zeros.

    Args:
        values: [..., x].
        valid: [...] bool.
    """
    taken = torch.where(valid.unsqueeze(-1), values.double(), 0.0).reshape(-1, values.shape[-1])
    weights = valid.double().reshape(-1, 1)
    count = weights.sum()
    mean = taken.sum(0) / count.clamp(min=1.0)
    variance = (weights * (taken - mean).square()).sum(0) / count.clamp(min=1.0)
    return Moments(mean, variance, count)


def joined_moments(parts: Moments) -> Moments:
    """The moments of all parts' values together (Chan, Golub and LeVeque 1983, eq. 2.1), in float64.

    Args:
        parts: [part, x] and [part]; those without a value have no part in it.
    """
    means, variances, counts = (values.double() for values in parts)
    count = counts.sum()
    shares = (counts / count.clamp(min=1.0)).unsqueeze(-1)
    mean = (shares * means).sum(0)
    variance = (shares * (variances + (means - mean).square())).sum(0)
    return Moments(mean, variance, count)


def normalised(values: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """(values - mean) / sqrt(variance + 1e-8), cut to [-10, 10]; all [..., x], as they broadcast."""
    return ((values - mean) / (variance + EPSILON).sqrt()).clamp(-LIMIT, LIMIT)
