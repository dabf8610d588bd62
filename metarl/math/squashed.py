"""The Gaussian squashed into a box by tanh. Log-probabilities are summed over action dimensions."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from metarl.math.gaussian import DiagonalGaussian

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(24)
_WEIGHTS = _WEIGHTS / math.sqrt(2 * math.pi)


class SquashedGaussian(NamedTuple):
    """a = bound tanh(u), u ~ N(mean, std^2) (Haarnoja et al. 2018, appendix C).

    Args:
        mean, log_std: of u, [..., action] each.
        bound: the largest action, [..., action].
    """

    mean: Tensor
    log_std: Tensor
    bound: Tensor

    @property
    def inner(self) -> DiagonalGaussian:
        """The distribution of u."""
        return DiagonalGaussian(self.mean, self.log_std)

    @property
    def mode(self) -> Tensor:
        """The squashed mean: the median, [..., action]."""
        return self.bound * torch.tanh(self.mean)

    @property
    def std(self) -> Tensor:
        """Standard deviations of the actions, [..., action], by quadrature."""
        u, weights = self._nodes()
        squashed = torch.tanh(u)
        mean = (weights * squashed).sum(0)
        return self.bound * (weights * (squashed - mean).square()).sum(0).sqrt()

    def draw(self, noise: Tensor) -> Tensor:
        """Actions [..., action] from standard normal noise of the same shape; differentiable."""
        return self.bound * torch.tanh(self.inner.draw(noise))

    def draw_with_log_prob(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Actions [..., action] from noise, and their log density [...], exact however close to the bound."""
        u = self.inner.draw(noise)
        return self.bound * torch.tanh(u), self._log_prob(u)

    def log_prob(self, actions: Tensor) -> Tensor:
        """Log density of actions [..., action]; [...]. Those at the bound count as the closest within."""
        within = 1 - torch.finfo(actions.dtype).eps
        return self._log_prob(torch.atanh((actions / self.bound).clamp(-within, within)))

    def kl_divergence(self, other: SquashedGaussian) -> Tensor:
        """KL(self || other), of the same bound: that of the Gaussians; [...]."""
        return self.inner.kl_divergence(other.inner)

    def entropy(self) -> Tensor:
        """Differential entropy in nats, by quadrature; [...]."""
        u, weights = self._nodes()
        return self.inner.entropy() + ((weights * _log_slope(u)).sum(0) + self.bound.log()).sum(-1)

    def fisher_product(self, tangent: SquashedGaussian) -> SquashedGaussian:
        """The Fisher information times a tangent: the Gaussian's, as squashing loses nothing."""
        product = self.inner.fisher_product(tangent.inner)
        return SquashedGaussian(*product, torch.zeros_like(self.bound))

    def _log_prob(self, u: Tensor) -> Tensor:
        return self.inner.log_prob(u) - (_log_slope(u) + self.bound.log()).sum(-1)

    def _nodes(self) -> tuple[Tensor, Tensor]:
        """Points of u and their weights, [node, ..., action] and [node, 1, ..., 1]."""
        shape = (-1, *[1] * self.mean.ndim)
        nodes, weights = (
            torch.as_tensor(values, dtype=self.mean.dtype, device=self.mean.device).view(shape)
            for values in (_NODES, _WEIGHTS)
        )
        return self.mean + self.log_std.exp() * nodes, weights


def _log_slope(u: Tensor) -> Tensor:
    """log(1 - tanh(u)^2), which stays finite where tanh rounds to 1."""
    return 2 * (math.log(2) - u - torch.nn.functional.softplus(-2 * u))
