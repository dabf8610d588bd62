"""A Gaussian policy that remembers: a recurrent network over a whole trial (Duan et al. 2016)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from jsonargparse.typing import PositiveFloat, PositiveInt
from torch import Tensor

from metarl.math.gaussian import DiagonalGaussian
from metarl.math.parameters import Parameters
from metarl.policies.layers import align, linear
from metarl.policies.policy import Carry, Transition

_GRU: Any = torch.gru


@dataclass(frozen=True)
class GruPolicy:
    """h' = GRU(h, [o, a, r, end]); mean = MLP([LayerNorm(h'), o]); a state-independent log std with a floor.

    What the last step did (its action, its reward, whether it was the last of its episode) is zero at a
    trial's first step alone: nothing is forgotten between episodes. The state is fed again to the head
    (Beck et al. 2022).

    Parameters: `gru.input.weight` [3 h, in], `gru.input.bias`, `gru.hidden.weight` [3 h, h],
    `gru.hidden.bias`, `norm.weight`, `norm.bias` [h], `head.l.weight`, `head.l.bias`, ..., `mean.weight`,
    `mean.bias`, `log_std` [action].

    Args:
        observation_size, action_size: of the environment.
        hidden_size: units that remember.
        head_sizes: units of the head's hidden layers, tanh.
        reads_rewards: whether rewards are fed; where they are unknown in use, they must not be.
        initial_std: standard deviation of the actions at the start.
        min_std: floor of the standard deviation.

    Raises:
        ValueError: a floor above the standard deviation at the start.
    """

    observation_size: int
    action_size: int
    hidden_size: PositiveInt = 128
    head_sizes: tuple[PositiveInt, ...] = (128,)
    reads_rewards: bool = True
    initial_std: PositiveFloat = 1.0
    min_std: PositiveFloat = 1e-6

    def __post_init__(self) -> None:
        if self.min_std > self.initial_std:
            raise ValueError(
                f"min_std: expected at most {self.initial_std}, the initial_std, got {self.min_std}"
            )

    @property
    def episode_noise_size(self) -> int:
        return 0

    @property
    def outcome_size(self) -> int:
        """Numbers of a step that the next one sees: action, reward, end."""
        return self.action_size + 2

    @property
    def feature_size(self) -> int:
        """Of what heads see: hidden units and observation."""
        return int(self.hidden_size) + self.observation_size

    def initial_parameters(self, generator: torch.Generator) -> Parameters:
        """Orthogonal weights (Saxe et al. 2014), zero biases; the mean's layer is small."""
        hidden, inputs = int(self.hidden_size), self.observation_size + self.outcome_size
        gates = {
            "input": [_orthogonal(hidden, inputs, generator) for _ in range(3)],
            "hidden": [_orthogonal(hidden, hidden, generator) for _ in range(3)],
        }
        parameters: Parameters = {}
        for name, weights in gates.items():
            parameters[f"gru.{name}.weight"] = torch.cat(weights)
            parameters[f"gru.{name}.bias"] = torch.zeros(3 * hidden)
        parameters |= {"norm.weight": torch.ones(hidden), "norm.bias": torch.zeros(hidden)}
        parameters |= head_parameters("head", self.feature_size, self.head_sizes, generator)
        last = self.head_sizes[-1] if self.head_sizes else self.feature_size
        parameters["mean.weight"] = 0.01 * _orthogonal(self.action_size, last, generator)
        parameters["mean.bias"] = torch.zeros(self.action_size)
        parameters["log_std"] = torch.full((self.action_size,), math.log(self.initial_std))
        return parameters

    def begin_trial(self, parameters: Parameters, tasks: int, lanes: int) -> Carry:
        like = parameters["log_std"]
        sizes = {"hidden": int(self.hidden_size), "outcome": self.outcome_size}
        return {name: like.new_zeros(tasks, lanes, size) for name, size in sizes.items()}

    def begin_episode(self, parameters: Parameters, carry: Carry, noise: Tensor) -> Carry:
        return carry

    def act(
        self, parameters: Parameters, carry: Carry, observations: Tensor
    ) -> tuple[DiagonalGaussian, Carry]:
        inputs = torch.cat((observations, carry["outcome"]), dim=-1)
        hidden = _cell(parameters, inputs, carry["hidden"])
        return self.distribution(parameters, self.features(parameters, hidden, observations)), {
            **carry,
            "hidden": hidden,
        }

    def observe(self, parameters: Parameters, carry: Carry, step: Transition) -> Carry:
        return {**carry, "outcome": self.outcomes(step.actions, step.rewards, step.last)}

    def outcomes(self, actions: Tensor, rewards: Tensor, last: Tensor) -> Tensor:
        """What the next step sees of actions [..., action], rewards and ends [...]: [..., action + 2]."""
        seen = rewards if self.reads_rewards else torch.zeros_like(rewards)
        return torch.cat((actions, torch.stack((seen, last.to(actions.dtype)), dim=-1)), dim=-1)

    def unroll(self, parameters: Parameters, inputs: Tensor) -> Tensor:
        """Hidden states [trial, time, h] of inputs [trial, time, in] from the start, by a fused kernel."""
        names = ("input.weight", "hidden.weight", "input.bias", "hidden.bias")
        weights = [parameters[f"gru.{name}"] for name in names]
        start = inputs.new_zeros(1, len(inputs), int(self.hidden_size))
        hidden: Tensor = _GRU(inputs, start, weights, True, 1, 0.0, False, False, True)[0]
        return hidden

    def features(self, parameters: Parameters, hidden: Tensor, observations: Tensor) -> Tensor:
        """What heads see, [..., h + observation]."""
        centred = torch.nn.functional.layer_norm(hidden, (int(self.hidden_size),))
        scale, shift = (align(parameters[f"norm.{part}"], centred) for part in ("weight", "bias"))
        return torch.cat((centred * scale + shift, observations), dim=-1)

    def distribution(self, parameters: Parameters, features: Tensor) -> DiagonalGaussian:
        """Of the actions, from features [..., h + observation]."""
        mean = _linear(parameters, "mean", head(parameters, "head", len(self.head_sizes), features))
        log_std = parameters["log_std"].clamp(min=math.log(self.min_std))
        return DiagonalGaussian(mean, align(log_std, mean).expand_as(mean))


def head_parameters(name: str, inputs: int, sizes: tuple[int, ...], generator: torch.Generator) -> Parameters:
    """Orthogonal weights and zero biases of tanh layers, `name.0.weight`, `name.0.bias`, ..."""
    parameters: Parameters = {}
    for layer, (fan_in, fan_out) in enumerate(zip((inputs, *sizes[:-1]), sizes, strict=False)):
        parameters[f"{name}.{layer}.weight"] = math.sqrt(2) * _orthogonal(fan_out, fan_in, generator)
        parameters[f"{name}.{layer}.bias"] = torch.zeros(fan_out)
    return parameters


def head(parameters: Parameters, name: str, layers: int, features: Tensor) -> Tensor:
    """The tanh layers of a head on features [..., in]; [..., out]."""
    for layer in range(layers):
        features = torch.tanh(_linear(parameters, f"{name}.{layer}", features))
    return features


def _cell(parameters: Parameters, inputs: Tensor, hidden: Tensor) -> Tensor:
    """One step of torch's GRU: h' = (1 - z) n + z h, n = tanh(W_n x + r (U_n h)) (Cho et al. 2014)."""
    of_input = _linear(parameters, "gru.input", inputs).chunk(3, dim=-1)
    of_hidden = _linear(parameters, "gru.hidden", hidden).chunk(3, dim=-1)
    reset, update = (torch.sigmoid(of_input[i] + of_hidden[i]) for i in range(2))
    new = torch.tanh(of_input[2] + reset * of_hidden[2])
    return new + update * (hidden - new)


def _linear(parameters: Parameters, layer: str, x: Tensor) -> Tensor:
    """W x + b; weights with a task axis are taken once where they are the same for all tasks."""
    names = [f"{layer}.{part}" for part in ("weight", "bias")]
    weight = parameters[names[0]]
    if weight.ndim == 3 and weight.stride(0) == 0:
        parameters = {name: parameters[name][0] for name in names}
    return linear(parameters, layer, x)


def _orthogonal(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    matrix: Tensor = torch.nn.init.orthogonal_(torch.empty(rows, columns), generator=generator)
    return matrix
