"""The diagonal Gaussian. Log-probabilities and divergences are summed over action dimensions."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class DiagonalGaussian(NamedTuple):
    """Mean and log standard deviation, [..., action] each (a NamedTuple, so that torch.func maps over it)."""

    mean: Tensor
    log_std: Tensor

    @property
    def mode(self) -> Tensor:
        """The most likely actions, [..., action]."""
        return self.mean

    @property
    def std(self) -> Tensor:
        """Standard deviations, [..., action]."""
        return self.log_std.exp()

    def draw(self, noise: Tensor) -> Tensor:
        """Actions [..., action] from standard normal noise of the same shape; differentiable."""
        return torch.addcmul(self.mean, self.log_std.exp(), noise)

    def log_prob(self, actions: Tensor) -> Tensor:
        """Log density of actions [..., action]; [...]."""
        z = (actions - self.mean) * (-self.log_std).exp()
        return -(0.5 * z.square() + self.log_std + 0.5 * math.log(2 * math.pi)).sum(-1)

    def kl_divergence(self, other: DiagonalGaussian) -> Tensor:
        """KL(self || other); [...]."""
        variance_ratio = (2 * (self.log_std - other.log_std)).exp()
        squared_distance = ((self.mean - other.mean) * (-other.log_std).exp()).square()
        return (other.log_std - self.log_std + 0.5 * (variance_ratio + squared_distance - 1)).sum(-1)

    def entropy(self) -> Tensor:
        """Differential entropy in nats; [...]."""
        return (self.log_std + 0.5 * math.log(2 * math.pi * math.e)).sum(-1)

    def fisher_product(self, tangent: DiagonalGaussian) -> DiagonalGaussian:
        """The Fisher information in (mean, log_std) times a tangent: d_mean / std^2 and 2 d_log_std.

        It is the Hessian of KL(p || q) in q at q = p.
        """
        return DiagonalGaussian(tangent.mean * (-2 * self.log_std).exp(), 2 * tangent.log_std)
