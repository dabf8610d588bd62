"""The Gaussian MLP policy, its parameters an argument."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jsonargparse.typing import PositiveFloat, PositiveInt
from torch import Tensor

from metarl.math.gaussian import DiagonalGaussian
from metarl.math.parameters import Parameters
from metarl.policies.deviation import check_floor
from metarl.policies.layers import align, linear


@dataclass(frozen=True)
class GaussianMLP:
    """mean = MLP(observation); a state-independent log standard deviation with a floor.

    Parameters, in order: `hidden.l.weight` [out, in], `hidden.l.bias` [out], ..., `mean.weight`,
    `mean.bias`, `log_std` [action].

    Args:
        observation_size, action_size: of the environment.
        hidden_sizes: units of every hidden layer.
        activation: "tanh" or "relu".
        initial_std: standard deviation of the actions at the start.
        min_std: floor of the standard deviation.
        output_gain: scales the initial weights of the mean's layer; small values start near mean 0.

    Raises:
        ValueError: a floor above the standard deviation at the start.
    """

    observation_size: int
    action_size: int
    hidden_sizes: tuple[PositiveInt, ...] = (64, 64)
    activation: Literal["tanh", "relu"] = "tanh"
    initial_std: PositiveFloat = 1.0
    min_std: PositiveFloat = 1e-6
    output_gain: PositiveFloat = 1.0

    of_start: ClassVar[tuple[str, ...]] = ("initial_std", "output_gain")
    """Fields that the initial parameters alone follow from."""

    def __post_init__(self) -> None:
        check_floor(self.min_std, self.initial_std)

    @property
    def layer_names(self) -> list[str]:
        return [*(f"hidden.{i}" for i in range(len(self.hidden_sizes))), "mean"]

    @property
    def architecture(self) -> str:
        """Units of every layer, and the activation between them: "2-64-64-2 tanh"."""
        sizes = (self.observation_size, *self.hidden_sizes, self.action_size)
        return f"{'-'.join(str(size) for size in sizes)} {self.activation}"

    def initial_parameters(self, generator: torch.Generator) -> Parameters:
        """Xavier-uniform weights (Glorot and Bengio 2010), zero biases."""
        sizes = [self.observation_size, *self.hidden_sizes, self.action_size]
        parameters: Parameters = {}
        for name, fan_in, fan_out in zip(self.layer_names, sizes[:-1], sizes[1:], strict=True):
            bound = math.sqrt(6 / (fan_in + fan_out)) * (self.output_gain if name == "mean" else 1.0)
            uniform = torch.rand(fan_out, fan_in, generator=generator)
            parameters[f"{name}.weight"] = (2 * uniform - 1) * bound
            parameters[f"{name}.bias"] = torch.zeros(fan_out)
        parameters["log_std"] = torch.full((self.action_size,), math.log(self.initial_std))
        return parameters

    def __call__(self, parameters: Parameters, observations: Tensor) -> DiagonalGaussian:
        activate = torch.tanh if self.activation == "tanh" else torch.relu
        hidden = observations
        for name in self.layer_names[:-1]:
            hidden = activate(linear(parameters, name, hidden))
        mean = linear(parameters, "mean", hidden)
        return DiagonalGaussian(mean, align(self.log_std(parameters), mean).expand_as(mean))

    def log_std(self, parameters: Parameters) -> Tensor:
        """The log standard deviation above its floor, [*task, action]."""
        return parameters["log_std"].clamp(min=math.log(self.min_std))
