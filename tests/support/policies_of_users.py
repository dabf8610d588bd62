"""Policies as users write them: a subclass of the Gaussian MLP, and the same network in its own class."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metarl.math.gaussian import DiagonalGaussian
from metarl.math.parameters import Parameters
from metarl.policies.gaussian_mlp import GaussianMLP


@dataclass(frozen=True)
class NormalisedMLP(GaussianMLP):
    """The Gaussian MLP of observations whose features are normalised, by a gain that is learned."""

    def initial_parameters(self, generator: torch.Generator) -> Parameters:
        return {**super().initial_parameters(generator), "gain": torch.ones(self.observation_size)}

    def __call__(self, parameters: Parameters, observations: Tensor) -> DiagonalGaussian:
        gain = parameters["gain"]
        aligned = gain.view(*gain.shape[:-1], *[1] * (observations.ndim - gain.ndim), gain.shape[-1])
        normalised = torch.nn.functional.layer_norm(observations, observations.shape[-1:])
        return super().__call__(parameters, normalised * aligned)


@dataclass(frozen=True)
class OwnNetwork:
    """`NormalisedMLP`, which nothing can take for a Gaussian MLP."""

    network: NormalisedMLP

    @property
    def observation_size(self) -> int:
        return self.network.observation_size

    @property
    def action_size(self) -> int:
        return self.network.action_size

    def initial_parameters(self, generator: torch.Generator) -> Parameters:
        return self.network.initial_parameters(generator)

    def __call__(self, parameters: Parameters, observations: Tensor) -> DiagonalGaussian:
        return self.network(parameters, observations)
