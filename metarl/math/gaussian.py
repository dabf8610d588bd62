"""The diagonal Gaussian. Log-probabilities and divergences are summed over action dimensions."""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor


class DiagonalGaussian(NamedTuple):
    """Mean and log standard deviation, [..., action] each (a NamedTuple, so that torch.func maps over it)."""

    mean: Tensor
    log_std: Tensor


def log_prob(distribution: DiagonalGaussian, actions: Tensor) -> Tensor:
    """log density of actions [..., action]; [...]."""
    mean, log_std = distribution
    z = (actions - mean) * (-log_std).exp()
    return -(0.5 * z.square() + log_std + 0.5 * math.log(2 * math.pi)).sum(-1)


def kl_divergence(p: DiagonalGaussian, q: DiagonalGaussian) -> Tensor:
    """KL(p || q); [...]."""
    variance_ratio = (2 * (p.log_std - q.log_std)).exp()
    squared_distance = ((p.mean - q.mean) * (-q.log_std).exp()).square()
    return (q.log_std - p.log_std + 0.5 * (variance_ratio + squared_distance - 1)).sum(-1)


def entropy(distribution: DiagonalGaussian) -> Tensor:
    """Differential entropy in nats; [...]."""
    return (distribution.log_std + 0.5 * math.log(2 * math.pi * math.e)).sum(-1)


def fisher_product(distribution: DiagonalGaussian, tangent: DiagonalGaussian) -> DiagonalGaussian:
    """The Fisher information in (mean, log_std) times a tangent: d_mean / std^2 and 2 d_log_std.

    It is the Hessian of KL(p || q) in q at q = p.
    """
    return DiagonalGaussian(tangent.mean * (-2 * distribution.log_std).exp(), 2 * tangent.log_std)
