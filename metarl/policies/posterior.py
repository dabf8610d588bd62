"""A policy that acts on a sample of its posterior over tasks, a product of factors (Rakelly et al. 2019)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jsonargparse.typing import PositiveFloat, PositiveInt
from torch import Tensor

from metarl.math.gaussian import DiagonalGaussian
from metarl.math.gaussian_product import NaturalGaussian, natural
from metarl.math.parameters import Parameters
from metarl.math.squashed import SquashedGaussian
from metarl.policies.policy import Carry, Transition
from metarl.policies.relu_mlp import relu_mlp, relu_parameters

_LOG_STD = (-20.0, 2.0)
_SMALLEST_VARIANCE = 1e-7


@dataclass(frozen=True)
class PosteriorPolicy:
    """q(z | c) = prod_n N(mu(c_n), sigma^2(c_n)), c_n = (o, a, r) of a step; a = bound tanh(u), u ~ pi(o, z).

    Nothing seen, q is N(0, I). z is drawn at the start of every episode and stays: in a trial's first
    episodes from N(0, I), then from q. The carry is the factors' product in natural parameters: what a trial
    knows depends neither on the order of its steps nor on how they were split.

    Parameters: `encoder.l.weight`, `encoder.l.bias`, ..., `actor.l.weight`, `actor.l.bias`, ...; the last
    layers give mean and variance (before a softplus) of a factor, [2 z], mean and log std of u, [2 action].

    Args:
        observation_size, action_size: of the environment.
        latent_size: numbers z in which tasks may differ.
        encoder_sizes: units of the encoder's hidden layers, ReLU.
        hidden_sizes: units of the policy's hidden layers, ReLU.
        exploration_episodes: episodes of a trial that act on z from N(0, I).
        reads_next_observations: whether a factor sees o' too; where dynamics differ between tasks.
        action_bound: the largest action; that of the environment's box.
    """

    observation_size: int
    action_size: int
    latent_size: PositiveInt = 5
    encoder_sizes: tuple[PositiveInt, ...] = (128, 128)
    hidden_sizes: tuple[PositiveInt, ...] = (128, 128)
    exploration_episodes: PositiveInt = 2
    reads_next_observations: bool = False
    action_bound: PositiveFloat = 1.0

    @property
    def episode_noise_size(self) -> int:
        return int(self.latent_size)

    @property
    def feature_size(self) -> int:
        """Of what actor and critics see of a step: observation and z."""
        return self.observation_size + int(self.latent_size)

    @property
    def target_entropy(self) -> float:
        """Of what a learned temperature aims at: minus one nat an action, in the unit of the bound."""
        return self.action_size * (math.log(self.action_bound) - 1)

    def initial_parameters(self, generator: torch.Generator) -> Parameters:
        """As torch's `Linear` starts."""
        seen = self.observation_size * (2 if self.reads_next_observations else 1) + self.action_size + 1
        encoder = (seen, *map(int, self.encoder_sizes), 2 * int(self.latent_size))
        actor = (self.feature_size, *map(int, self.hidden_sizes), 2 * self.action_size)
        return {
            **relu_parameters("encoder", encoder, generator),
            **relu_parameters("actor", actor, generator),
        }

    def begin_trial(self, parameters: Parameters, tasks: int, lanes: int) -> Carry:
        like, latent = parameters["actor.0.bias"], int(self.latent_size)
        sizes = {"precision": latent, "weighted": latent, "latent": latent, "episodes": 1}
        return {name: like.new_zeros(tasks, lanes, size) for name, size in sizes.items()}

    def begin_episode(self, parameters: Parameters, carry: Carry, noise: Tensor) -> Carry:
        posterior = NaturalGaussian(carry["precision"], carry["weighted"]).gaussian()
        explores = carry["episodes"] < self.exploration_episodes
        latent = torch.where(explores, noise, posterior.draw(noise))
        return {**carry, "latent": latent, "episodes": carry["episodes"] + 1}

    def act(
        self, parameters: Parameters, carry: Carry, observations: Tensor
    ) -> tuple[SquashedGaussian, Carry]:
        return self.distribution(parameters, torch.cat((observations, carry["latent"]), dim=-1)), carry

    def observe(self, parameters: Parameters, carry: Carry, step: Transition) -> Carry:
        inputs = self.encoded(step.observations, step.actions, step.rewards, step.next_observations)
        factor = self.factors(parameters, inputs)
        known = {
            "precision": carry["precision"] + factor.precision,
            "weighted": carry["weighted"] + factor.weighted,
        }
        return {**carry, **known}

    def encoded(
        self, observations: Tensor, actions: Tensor, rewards: Tensor, next_observations: Tensor
    ) -> Tensor:
        """What a factor sees of steps, [..., in]."""
        parts = [observations, actions, rewards.unsqueeze(-1)]
        return torch.cat([*parts, next_observations] if self.reads_next_observations else parts, dim=-1)

    def factors(self, parameters: Parameters, inputs: Tensor) -> NaturalGaussian:
        """Of every step, [..., z] each, from inputs [..., in]."""
        out = relu_mlp(parameters, "encoder", len(self.encoder_sizes) + 1, inputs)
        mean, raw = out.chunk(2, dim=-1)
        return natural(mean, torch.nn.functional.softplus(raw).clamp(min=_SMALLEST_VARIANCE))

    def beliefs(self, parameters: Parameters, inputs: Tensor) -> DiagonalGaussian:
        """q after 0, 1, ..., T steps of trials [trial, T, in]: tensors [trial, T + 1, z], N(0, I) first."""
        sums = [part.cumsum(1) for part in self.factors(parameters, inputs)]
        return NaturalGaussian(*(torch.nn.functional.pad(part, (0, 0, 1, 0)) for part in sums)).gaussian()

    def distribution(self, parameters: Parameters, features: Tensor) -> SquashedGaussian:
        """Of the actions, from features [..., observation + z]."""
        out = relu_mlp(parameters, "actor", len(self.hidden_sizes) + 1, features)
        mean, log_std = out.chunk(2, dim=-1)
        bound = mean.new_full((), self.action_bound).expand_as(mean)
        return SquashedGaussian(mean, log_std.clamp(*_LOG_STD), bound)
