"""A policy that is told a context vector beside every observation; the context is a parameter."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metarl.math.gaussian import DiagonalGaussian
from metarl.math.parameters import Parameters
from metarl.policies.gaussian_mlp import GaussianMLP

CONTEXT = "context"


@dataclass(frozen=True)
class ContextPolicy:
    """pi(a | observation, context); parameters as `GaussianMLP`, and `context` [context_size].

    Args:
        network: takes the observation followed by the context.
        context_size: length of the context.
    """

    network: GaussianMLP
    context_size: int

    @property
    def observation_size(self) -> int:
        return self.network.observation_size - self.context_size

    @property
    def action_size(self) -> int:
        return self.network.action_size

    def initial_parameters(self, generator: torch.Generator) -> Parameters:
        """The network's, and a context of zeros."""
        return {**self.network.initial_parameters(generator), CONTEXT: torch.zeros(self.context_size)}

    def __call__(self, parameters: Parameters, observations: Tensor) -> DiagonalGaussian:
        context = parameters[CONTEXT]
        axes = observations.ndim - context.ndim
        aligned = context.view(*context.shape[:-1], *[1] * axes, self.context_size)
        told = aligned.expand(*observations.shape[:-1], self.context_size)
        return self.network(parameters, torch.cat((observations, told), dim=-1))
