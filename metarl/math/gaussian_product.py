"""Products of Gaussian factors, in natural parameters: to join two products is to add two vectors."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from metarl.math.gaussian import DiagonalGaussian


class NaturalGaussian(NamedTuple):
    """exp(weighted z - precision z^2 / 2) up to a constant; zeros for no factor at all.

    Args:
        precision: 1 / variance, [..., z].
        weighted: mean / variance, [..., z].
    """

    precision: Tensor
    weighted: Tensor

    def product(self, dim: int) -> NaturalGaussian:
        """Of all factors along an axis."""
        return NaturalGaussian(self.precision.sum(dim), self.weighted.sum(dim))

    def gaussian(self) -> DiagonalGaussian:
        """Normalised: N(weighted / precision, 1 / precision), and N(0, 1) where there is no factor."""
        known = self.precision != 0
        precision = torch.where(known, self.precision, 1.0)
        mean = torch.where(known, self.weighted, 0.0) / precision
        return DiagonalGaussian(mean, -0.5 * precision.log())


def natural(mean: Tensor, variance: Tensor) -> NaturalGaussian:
    """N(mean, variance), tensors [..., z], as a factor."""
    return NaturalGaussian(1 / variance, mean / variance)


def kl_to_unit(gaussian: DiagonalGaussian) -> Tensor:
    """KL(gaussian || N(0, I)) in nats, [...]."""
    mean, log_std = gaussian
    return 0.5 * ((2 * log_std).exp() + mean.square() - 1 - 2 * log_std).sum(-1)
