"""A Gaussian policy that remembers: a recurrent network over a whole trial (Duan et al. 2016)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from jsonargparse.typing import PositiveFloat, PositiveInt
from torch import Tensor

from metarl.math.gaussian import DiagonalGaussian
from metarl.math.parameters import Parameters
from metarl.policies.deviation import check_floor
from metarl.policies.gru import gru_cell, gru_parameters, gru_sequence
from metarl.policies.heads import (
    dense,
    generated_layers,
    hypernetwork_parameters,
    orthogonal,
    tanh_layers,
    tanh_parameters,
)
from metarl.policies.layers import align
from metarl.policies.outcomes import nothing_remembered, outcome_size, outcomes
from metarl.policies.policy import Carry, Transition

_LATENT = 25


@dataclass(frozen=True)
class GruPolicy:
    """h' = GRU(h, [o, a, r, end]); a head of LayerNorm(h') and o; a state-independent log std with a floor.

    What the last step did (its action, its reward, whether it was the last of its episode) is zero at a
    trial's first step alone: nothing is forgotten between episodes. The head is one of two (Beck 2022):

    - "concat": mean = MLP([LayerNorm(h'), o]), the state fed again;
    - "hypernetwork": z = W LayerNorm(h') + b; mean = MLP_z(o), whose weights and biases are linear in z.

    Parameters: `gru.input.weight` [3 h, in], `gru.input.bias`, `gru.hidden.weight` [3 h, h],
    `gru.hidden.bias`, `norm.weight`, `norm.bias` [h], the head's, `log_std` [action]. The head's are
    `head.l.weight`, `head.l.bias`, ..., `mean.weight`, `mean.bias`; or `latent.weight` [z, h], `latent.bias`,
    `hypernetwork.weight` [weights, z], `hypernetwork.bias`.

    Args:
        observation_size, action_size: of the environment.
        hidden_size: units that remember.
        head_sizes: units of the head's hidden layers, tanh.
        head: "concat" or "hypernetwork"; keep the latter's layers small: they differ from step to step.
        latent_size: numbers in z of a hypernetwork.
        reads_rewards: whether rewards are fed; where they are unknown in use, they must not be.
        initial_std: standard deviation of the actions at the start.
        min_std: floor of the standard deviation.

    Raises:
        ValueError: a floor above the standard deviation at the start, or a latent without a hypernetwork.
    """

    observation_size: int
    action_size: int
    hidden_size: PositiveInt = 128
    head_sizes: tuple[PositiveInt, ...] = (128,)
    head: Literal["concat", "hypernetwork"] = "concat"
    latent_size: PositiveInt = _LATENT
    reads_rewards: bool = True
    initial_std: PositiveFloat = 1.0
    min_std: PositiveFloat = 1e-6

    read_with: ClassVar[dict[str, Any]] = {"latent_size": {"head": ("hypernetwork",)}}

    def __post_init__(self) -> None:
        check_floor(self.min_std, self.initial_std)
        if self.head == "concat" and self.latent_size != _LATENT:
            raise ValueError(
                f"latent_size: expected it beside head: hypernetwork, got {self.latent_size} with concat"
            )

    @property
    def episode_noise_size(self) -> int:
        return 0

    @property
    def outcome_size(self) -> int:
        """Numbers of a step that the next one sees: action, reward, end."""
        return outcome_size(self.action_size)

    @property
    def feature_size(self) -> int:
        """Of what heads see: hidden units and observation."""
        return int(self.hidden_size) + self.observation_size

    @property
    def generated_sizes(self) -> tuple[int, ...]:
        """Of the MLP whose weights a hypernetwork makes: observation, hidden layers, action."""
        return (self.observation_size, *map(int, self.head_sizes), self.action_size)

    def initial_parameters(self, generator: torch.Generator) -> Parameters:
        """Orthogonal weights (Saxe et al. 2014), zero biases; the mean's layer is small."""
        hidden, inputs = int(self.hidden_size), self.observation_size + self.outcome_size
        parameters = gru_parameters("gru", inputs, hidden, generator)
        parameters |= {"norm.weight": torch.ones(hidden), "norm.bias": torch.zeros(hidden)}
        parameters |= self._concat(generator) if self.head == "concat" else self._hypernetwork(generator)
        parameters["log_std"] = torch.full((self.action_size,), math.log(self.initial_std))
        return parameters

    def begin_trial(self, parameters: Parameters, tasks: int, lanes: int) -> Carry:
        like, sizes = parameters["log_std"], (int(self.hidden_size), self.action_size)
        return nothing_remembered(like, tasks, lanes, *sizes)

    def begin_episode(self, parameters: Parameters, carry: Carry, noise: Tensor) -> Carry:
        return carry

    def act(
        self, parameters: Parameters, carry: Carry, observations: Tensor
    ) -> tuple[DiagonalGaussian, Carry]:
        inputs = torch.cat((observations, carry["outcome"]), dim=-1)
        hidden = gru_cell(parameters, "gru", inputs, carry["hidden"])
        return self.distribution(parameters, self.features(parameters, hidden, observations)), {
            **carry,
            "hidden": hidden,
        }

    def observe(self, parameters: Parameters, carry: Carry, step: Transition) -> Carry:
        return {**carry, "outcome": self.outcomes(step.actions, step.rewards, step.last)}

    def outcomes(self, actions: Tensor, rewards: Tensor, last: Tensor) -> Tensor:
        """What the next step sees of actions [..., action], rewards and ends [...]: [..., action + 2]."""
        return outcomes(actions, rewards, last, self.reads_rewards)

    def unroll(self, parameters: Parameters, inputs: Tensor) -> Tensor:
        """Hidden states [trial, time, h] of inputs [trial, time, in] from the start."""
        return gru_sequence(parameters, "gru", inputs)

    def features(self, parameters: Parameters, hidden: Tensor, observations: Tensor) -> Tensor:
        """What heads see, [..., h + observation]."""
        centred = torch.nn.functional.layer_norm(hidden, (int(self.hidden_size),))
        scale, shift = (align(parameters[f"norm.{part}"], centred) for part in ("weight", "bias"))
        return torch.cat((centred * scale + shift, observations), dim=-1)

    def distribution(self, parameters: Parameters, features: Tensor) -> DiagonalGaussian:
        """Of the actions, from features [..., h + observation]."""
        mean = self._mean(parameters, features)
        log_std = parameters["log_std"].clamp(min=math.log(self.min_std))
        return DiagonalGaussian(mean, align(log_std, mean).expand_as(mean))

    def _mean(self, parameters: Parameters, features: Tensor) -> Tensor:
        if self.head == "concat":
            layers = tanh_layers(parameters, "head", len(self.head_sizes), features)
            return dense(parameters, "mean", layers)
        hidden, observations = features[..., : self.hidden_size], features[..., self.hidden_size :]
        latent = dense(parameters, "latent", hidden)
        return generated_layers(parameters, self.generated_sizes, latent, observations)

    def _concat(self, generator: torch.Generator) -> Parameters:
        last = self.head_sizes[-1] if self.head_sizes else self.feature_size
        return {
            **tanh_parameters("head", self.feature_size, self.head_sizes, generator),
            "mean.weight": 0.01 * orthogonal(self.action_size, last, generator),
            "mean.bias": torch.zeros(self.action_size),
        }

    def _hypernetwork(self, generator: torch.Generator) -> Parameters:
        size = int(self.latent_size)
        return {
            "latent.weight": orthogonal(size, int(self.hidden_size), generator),
            "latent.bias": torch.zeros(size),
            **hypernetwork_parameters(size, self.generated_sizes, generator),
        }
