"""Sinusoid regression (Finn et al. 2017, section 5.1): the tasks, their points, and the network's loss."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import linear

from metarl.math.parameters import Parameters

AMPLITUDES = 0.1, 5.0
PHASES = 0.0, math.pi
DOMAIN = -5.0, 5.0
SIZES = 1, 40, 40, 1


class Points(NamedTuple):
    """One task's points x [point, 1] and values y [point, 1]; of several tasks [task, point, 1]."""

    x: Tensor
    y: Tensor


class Sinusoids(NamedTuple):
    """Curves amplitude * sin(x - phase); [task] each."""

    amplitude: Tensor
    phase: Tensor

    def at(self, x: Tensor) -> Points:
        """The values at x [task, point, 1]."""
        return Points(x, self.amplitude[:, None, None] * torch.sin(x - self.phase[:, None, None]))

    def points(self, number: int, generator: torch.Generator) -> Points:
        """So many points of every task, x uniform over the domain."""
        return self.at(_uniform(DOMAIN, (len(self.phase), number, 1), generator))


PICTURED = Sinusoids(torch.tensor([4.0]), torch.tensor([0.8]))
PICTURED_X = 0.5, 1.2, 2.1, 3.3, 4.4


def pictured_points() -> Points:
    """Five points in one half of the domain, as in the paper's figure 3; x, y [point, 1]."""
    x, y = PICTURED.at(torch.tensor(PICTURED_X)[None, :, None])
    return Points(x[0], y[0])


def grid() -> Tensor:
    """x over the domain; [point, 1]."""
    return torch.linspace(*DOMAIN, 201).unsqueeze(-1)


class SinusoidBatch(NamedTuple):
    """Several tasks' points: of every inner step (the same ones again), and for the outer loss."""

    support: tuple[Points, ...]
    query: Points

    @property
    def tasks(self) -> int:
        return len(self.query.x)


def sample_tasks(tasks: int, generator: torch.Generator) -> Sinusoids:
    return Sinusoids(_uniform(AMPLITUDES, (tasks,), generator), _uniform(PHASES, (tasks,), generator))


def initial_parameters(generator: torch.Generator) -> Parameters:
    """Weights [out, in] and biases [out] of layers 0, 1, 2: uniform, as those of torch's `Linear`."""
    parameters: Parameters = {}
    for layer, (fan_in, fan_out) in enumerate(pairwise(SIZES)):
        bounds = -1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in)
        parameters[f"{layer}.weight"] = _uniform(bounds, (fan_out, fan_in), generator)
        parameters[f"{layer}.bias"] = _uniform(bounds, (fan_out,), generator)
    return parameters


def predict(parameters: Parameters, x: Tensor) -> Tensor:
    """The ReLU network's values at x [point, 1]; [point, 1]."""
    hidden = torch.relu(linear(x, parameters["0.weight"], parameters["0.bias"]))
    hidden = torch.relu(linear(hidden, parameters["1.weight"], parameters["1.bias"]))
    return linear(hidden, parameters["2.weight"], parameters["2.bias"])


def mean_squared_error(parameters: Parameters, points: Points) -> Tensor:
    return (predict(parameters, points.x) - points.y).square().mean()


def _uniform(bounds: tuple[float, float], shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    low, high = bounds
    return low + (high - low) * torch.rand(shape, generator=generator)
