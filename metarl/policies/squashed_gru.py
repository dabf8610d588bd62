"""A policy that remembers whose actions tanh keeps within the box, for soft actor-critic (Ni et al. 2022)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jsonargparse.typing import PositiveFloat, PositiveInt
from torch import Tensor

from metarl.math.parameters import Parameters
from metarl.math.squashed import SquashedGaussian
from metarl.policies.gru import gru_cell, gru_parameters, gru_sequence
from metarl.policies.outcomes import nothing_remembered, outcome_size, outcomes
from metarl.policies.policy import Carry, Transition
from metarl.policies.relu_mlp import relu_mlp, relu_parameters

_LOG_STD = (-20.0, 2.0)


@dataclass(frozen=True)
class SquashedGruPolicy:
    """h' = GRU(h, [o, a, r, end]); a = bound tanh(u), u ~ N(mean, std^2) of MLP([h', o]).

    What the last step did (its action, its reward, whether it was the last of its episode) is zero at a
    trial's first step alone: nothing is forgotten between episodes.

    Parameters: `gru.input.weight` [3 h, in], `gru.input.bias`, `gru.hidden.weight` [3 h, h],
    `gru.hidden.bias`; `actor.l.weight`, `actor.l.bias`, ..., whose last layer gives mean and log std of u,
    [2 action].

    Args:
        observation_size, action_size: of the environment.
        hidden_size: units that remember.
        hidden_sizes: units of the hidden layers after them, ReLU.
        reads_rewards: whether rewards are fed; where they are unknown in use, they must not be.
        action_bound: the largest action; that of the environment's box.
    """

    observation_size: int
    action_size: int
    hidden_size: PositiveInt = 128
    hidden_sizes: tuple[PositiveInt, ...] = (128,)
    reads_rewards: bool = True
    action_bound: PositiveFloat = 1.0

    @property
    def episode_noise_size(self) -> int:
        return 0

    @property
    def outcome_size(self) -> int:
        """Numbers of a step that the next one sees: action, reward, end."""
        return outcome_size(self.action_size)

    @property
    def target_entropy(self) -> float:
        """Of what a learned temperature aims at: minus one nat an action, in the unit of the bound."""
        return self.action_size * (math.log(self.action_bound) - 1)

    def initial_parameters(self, generator: torch.Generator) -> Parameters:
        """Orthogonal recurrent weights (Saxe et al. 2014); layers as torch's `Linear` starts."""
        hidden = int(self.hidden_size)
        sizes = (hidden + self.observation_size, *map(int, self.hidden_sizes), 2 * self.action_size)
        return {
            **gru_parameters("gru", self.observation_size + self.outcome_size, hidden, generator),
            **relu_parameters("actor", sizes, generator),
        }

    def begin_trial(self, parameters: Parameters, tasks: int, lanes: int) -> Carry:
        like, sizes = parameters["actor.0.bias"], (int(self.hidden_size), self.action_size)
        return nothing_remembered(like, tasks, lanes, *sizes)

    def begin_episode(self, parameters: Parameters, carry: Carry, noise: Tensor) -> Carry:
        return carry

    def act(
        self, parameters: Parameters, carry: Carry, observations: Tensor
    ) -> tuple[SquashedGaussian, Carry]:
        inputs = torch.cat((observations, carry["outcome"]), dim=-1)
        hidden = gru_cell(parameters, "gru", inputs, carry["hidden"])
        return self.distribution(parameters, hidden, observations), {**carry, "hidden": hidden}

    def observe(self, parameters: Parameters, carry: Carry, step: Transition) -> Carry:
        return {**carry, "outcome": self.outcomes(step.actions, step.rewards, step.last)}

    def outcomes(self, actions: Tensor, rewards: Tensor, last: Tensor) -> Tensor:
        """What the next step sees of actions [..., action], rewards and ends [...]: [..., action + 2]."""
        return outcomes(actions, rewards, last, self.reads_rewards)

    def unroll(self, parameters: Parameters, inputs: Tensor) -> Tensor:
        """Hidden states [trial, time, h] of inputs [trial, time, in] from the start."""
        return gru_sequence(parameters, "gru", inputs)

    def distribution(self, parameters: Parameters, hidden: Tensor, observations: Tensor) -> SquashedGaussian:
        """Of the actions, of hidden states [..., h] and observations [..., observation]."""
        features = torch.cat((hidden, observations), dim=-1)
        out = relu_mlp(parameters, "actor", len(self.hidden_sizes) + 1, features)
        mean, log_std = out.chunk(2, dim=-1)
        bound = mean.new_full((), self.action_bound).expand_as(mean)
        return SquashedGaussian(mean, log_std.clamp(*_LOG_STD), bound)
