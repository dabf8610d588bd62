"""Policies of a user's own: a layer-normalised network, and one whose deviation depends on the state."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from metarl.math.gaussian import DiagonalGaussian
from metarl.math.parameters import Parameters


@dataclass(frozen=True)
class LayerNormMLP:
    """mean = MLP(observation) whose hidden layers are normalised (Ba et al. 2016).

    Args:
        width: units a hidden layer.
        depth: hidden layers.
        initial_std: standard deviation of the actions at the start.
    """

    observation_size: int
    action_size: int
    width: int = 64
    depth: int = 2
    initial_std: float = 1.0

    def initial_parameters(self, generator: torch.Generator) -> Parameters:
        sizes = [self.observation_size, *[self.width] * self.depth, self.action_size]
        parameters: Parameters = {}
        for i, (fan_in, fan_out) in enumerate(pairwise(sizes)):
            weight = torch.randn(fan_out, fan_in, generator=generator)
            parameters |= {f"{i}.weight": weight / fan_in**0.5, f"{i}.bias": torch.zeros(fan_out)}
        return {**parameters, "log_std": torch.full((self.action_size,), self.initial_std).log()}

    def __call__(self, parameters: Parameters, observations: Tensor) -> DiagonalGaussian:
        x = observations
        for i in range(self.depth):
            x = torch.tanh(torch.nn.functional.layer_norm(linear(parameters, i, x), (self.width,)))
        mean = linear(parameters, self.depth, x)
        return DiagonalGaussian(mean, aligned(parameters["log_std"], mean).expand_as(mean))


@dataclass(frozen=True)
class TwoHeaded:
    """A hidden layer with two heads: the mean, and the log standard deviation, of every state.

    Args:
        width: units in the hidden layer.
        initial_std: about the standard deviation of the actions at the start.
    """

    observation_size: int
    action_size: int
    width: int = 32
    initial_std: float = 0.5

    def initial_parameters(self, generator: torch.Generator) -> Parameters:
        weight = torch.randn(self.width, self.observation_size, generator=generator)
        heads = torch.randn(2 * self.action_size, self.width, generator=generator)
        start = torch.tensor([0.0, math.log(self.initial_std)])
        return {
            "0.weight": weight / self.observation_size**0.5,
            "0.bias": torch.zeros(self.width),
            "1.weight": 0.1 * heads / self.width**0.5,
            "1.bias": start.repeat_interleave(self.action_size),
        }

    def __call__(self, parameters: Parameters, observations: Tensor) -> DiagonalGaussian:
        hidden = torch.tanh(linear(parameters, 0, observations))
        mean, log_std = linear(parameters, 1, hidden).chunk(2, dim=-1)
        return DiagonalGaussian(mean, log_std.clamp(-5.0, 2.0))


def linear(parameters: Parameters, layer: int, x: Tensor) -> Tensor:
    """One layer; parameters and x may both start with a task axis."""
    weight, bias = parameters[f"{layer}.weight"], parameters[f"{layer}.bias"]
    if weight.ndim == 2:
        return torch.nn.functional.linear(x, weight, bias)
    return (x.flatten(1, -2) @ weight.mT + bias[:, None]).view(*x.shape[:-1], -1)


def aligned(vector: Tensor, like: Tensor) -> Tensor:
    """[*task, n] -> [*task, 1, ..., 1, n]."""
    return vector.view(*vector.shape[:-1], *[1] * (like.ndim - vector.ndim), vector.shape[-1])
