"""A Gaussian policy that sees a belief about its task: that of a recurrent encoder (Zintgraf et al. 2020)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jsonargparse.typing import PositiveFloat, PositiveInt
from torch import Tensor

from metarl.math.gaussian import DiagonalGaussian
from metarl.math.parameters import Parameters
from metarl.policies.deviation import check_floor
from metarl.policies.gru import gru_cell, gru_parameters, gru_sequence
from metarl.policies.heads import dense, orthogonal, tanh_layers, tanh_parameters
from metarl.policies.layers import align
from metarl.policies.policy import Carry, Transition


@dataclass(frozen=True)
class BeliefPolicy:
    """h' = GRU(h, [a, r, o']); belief N(mu, sigma^2) of h; mean = MLP([o, mu, sigma]).

    A trial begins with the learned prior, the belief of h = 0. Every step is encoded, also an episode's last
    one; nothing is forgotten between a trial's episodes.

    Parameters: `encoder.input.weight` [3 h, in], `encoder.input.bias`, `encoder.hidden.weight` [3 h, h],
    `encoder.hidden.bias`, `belief.weight` [2 z, h], `belief.bias`, `head.l.weight`, `head.l.bias`, ...,
    `mean.weight`, `mean.bias`, `log_std` [action].

    Args:
        observation_size, action_size: of the environment.
        hidden_size: units of the encoder.
        latent_size: numbers z in which tasks may differ.
        head_sizes: units of the head's hidden layers, tanh.
        initial_std: standard deviation of the actions at the start.
        min_std: floor of the standard deviation.

    Raises:
        ValueError: a floor above the standard deviation at the start.
    """

    observation_size: int
    action_size: int
    hidden_size: PositiveInt = 128
    latent_size: PositiveInt = 5
    head_sizes: tuple[PositiveInt, ...] = (128,)
    initial_std: PositiveFloat = 1.0
    min_std: PositiveFloat = 1e-6

    def __post_init__(self) -> None:
        check_floor(self.min_std, self.initial_std)

    @property
    def episode_noise_size(self) -> int:
        return 0

    @property
    def feature_size(self) -> int:
        """Of what heads see: observation, mean and standard deviation of the belief."""
        return self.observation_size + 2 * int(self.latent_size)

    def initial_parameters(self, generator: torch.Generator) -> Parameters:
        """Orthogonal weights, zero biases; the belief's and the mean's layers are small."""
        hidden, inputs = int(self.hidden_size), self.action_size + 1 + self.observation_size
        last = self.head_sizes[-1] if self.head_sizes else self.feature_size
        return {
            **gru_parameters("encoder", inputs, hidden, generator),
            "belief.weight": 0.1 * orthogonal(2 * int(self.latent_size), hidden, generator),
            "belief.bias": torch.zeros(2 * int(self.latent_size)),
            **tanh_parameters("head", self.feature_size, self.head_sizes, generator),
            "mean.weight": 0.01 * orthogonal(self.action_size, last, generator),
            "mean.bias": torch.zeros(self.action_size),
            "log_std": torch.full((self.action_size,), math.log(self.initial_std)),
        }

    def begin_trial(self, parameters: Parameters, tasks: int, lanes: int) -> Carry:
        hidden = parameters["log_std"].new_zeros(tasks, lanes, int(self.hidden_size))
        return {"hidden": hidden, "belief": dense(parameters, "belief", hidden)}

    def begin_episode(self, parameters: Parameters, carry: Carry, noise: Tensor) -> Carry:
        return carry

    def act(
        self, parameters: Parameters, carry: Carry, observations: Tensor
    ) -> tuple[DiagonalGaussian, Carry]:
        return self.distribution(parameters, self.features(observations, belief_of(carry["belief"]))), carry

    def observe(self, parameters: Parameters, carry: Carry, step: Transition) -> Carry:
        inputs = self.encoded(step.actions, step.rewards, step.next_observations)
        hidden = gru_cell(parameters, "encoder", inputs, carry["hidden"])
        return {"hidden": hidden, "belief": dense(parameters, "belief", hidden)}

    def encoded(self, actions: Tensor, rewards: Tensor, next_observations: Tensor) -> Tensor:
        """What the encoder sees of steps, [..., action + 1 + observation]."""
        return torch.cat((actions, rewards.unsqueeze(-1), next_observations), dim=-1)

    def beliefs(self, parameters: Parameters, inputs: Tensor) -> DiagonalGaussian:
        """After 0, 1, ..., T steps of trials [trial, T, in]: tensors [trial, T + 1, z], the prior first."""
        hidden = gru_sequence(parameters, "encoder", inputs)
        start = hidden.new_zeros(len(hidden), 1, hidden.shape[-1])
        return belief_of(dense(parameters, "belief", torch.cat((start, hidden), dim=1)))

    def features(self, observations: Tensor, belief: DiagonalGaussian) -> Tensor:
        """What heads see, [..., observation + 2 z]: of a scale near 1, as log sigma^2 is not."""
        return torch.cat((observations, belief.mean, belief.std), dim=-1)

    def distribution(self, parameters: Parameters, features: Tensor) -> DiagonalGaussian:
        """Of the actions, from features [..., observation + 2 z]."""
        layers = tanh_layers(parameters, "head", len(self.head_sizes), features)
        mean = dense(parameters, "mean", layers)
        log_std = parameters["log_std"].clamp(min=math.log(self.min_std))
        return DiagonalGaussian(mean, align(log_std, mean).expand_as(mean))


def belief_of(numbers: Tensor) -> DiagonalGaussian:
    """The belief whose mean and log variance are [..., 2 z]."""
    mean, log_variance = numbers.chunk(2, dim=-1)
    return DiagonalGaussian(mean, 0.5 * log_variance)


def numbers_of(belief: DiagonalGaussian) -> Tensor:
    """Mean and log variance [..., 2 z] of a belief."""
    return torch.cat((belief.mean, 2 * belief.log_std), dim=-1)
