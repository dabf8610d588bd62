"""What every policy is: a pure function of parameters and observations, with or without memory."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from typing_extensions import Self, TypeIs

from metarl.math.parameters import Parameters

Carry = dict[str, Tensor]
"""What a policy keeps from step to step, [task, lane, ...]; empty for a policy without memory."""


class Distribution(Protocol):
    """Of actions; its class is a NamedTuple of tensors [..., x], so that torch.func maps over it."""

    @property
    def mode(self) -> Tensor:
        """The actions [..., action] of a deterministic policy."""
        ...

    @property
    def std(self) -> Tensor:
        """Standard deviations [..., action]."""
        ...

    def draw(self, noise: Tensor) -> Tensor:
        """Actions [..., action] from standard normal noise [..., action]."""
        ...

    def log_prob(self, actions: Tensor) -> Tensor:
        """Log density of actions [..., action]; [...]."""
        ...

    def kl_divergence(self, other: Self) -> Tensor:
        """KL(self || other); [...]."""
        ...

    def entropy(self) -> Tensor:
        """In nats; [...]."""
        ...

    def fisher_product(self, tangent: Self) -> Self:
        """The Fisher information in the distribution's tensors times a tangent."""
        ...


class Parametrised(Protocol):
    """What every policy has: sizes, and parameters that are created here and passed in everywhere."""

    @property
    def observation_size(self) -> int: ...

    @property
    def action_size(self) -> int: ...

    def initial_parameters(self, generator: torch.Generator) -> Parameters: ...


class Policy(Parametrised, Protocol):
    """A stochastic policy without memory: what it does follows from the observation alone."""

    def __call__(self, parameters: Parameters, observations: Tensor) -> Distribution:
        """Observations [..., observation] -> the distribution of actions [..., action].

        Parameters may have a leading task axis; observations then start with the same.
        """
        ...


class Transition(NamedTuple):
    """What happened in one step of every lane: tensors [task, lane, ...].

    Args:
        observations, next_observations: [task, lane, observation], before and after it.
        actions: [task, lane, action], as drawn.
        rewards: [task, lane].
        terminated: [task, lane] bool; the environment ended the episode.
        last: [task, lane] bool; the episode's last step, whether terminated or truncated.
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    next_observations: Tensor
    terminated: Tensor
    last: Tensor


class Remembering(Parametrised, Protocol):
    """A policy that keeps a carry over the steps and episodes of a trial, which its `act` reads."""

    @property
    def episode_noise_size(self) -> int:
        """Standard normal numbers that the beginning of an episode draws, 0 for none."""
        ...

    def begin_trial(self, parameters: Parameters, tasks: int, lanes: int) -> Carry:
        """The carry before anything is known of the task."""
        ...

    def begin_episode(self, parameters: Parameters, carry: Carry, noise: Tensor) -> Carry:
        """The carry at an episode's start; noise [task, lane, episode_noise_size]."""
        ...

    def act(self, parameters: Parameters, carry: Carry, observations: Tensor) -> tuple[Distribution, Carry]:
        """Observations [task, lane, observation] -> the distribution of actions, and the carry."""
        ...

    def observe(self, parameters: Parameters, carry: Carry, step: Transition) -> Carry:
        """The carry that knows a step's outcome; called after every step, the last ones included."""
        ...


AnyPolicy = Policy | Remembering


def remembers(policy: AnyPolicy) -> TypeIs[Remembering]:
    """Whether a policy has a carry."""
    return has_memory(type(policy))


def has_memory(policy: type[Any]) -> bool:
    """Whether policies of a class have a carry."""
    return hasattr(policy, "begin_trial")


def episodes_a_point(policy: type[Any]) -> int:
    """Episodes between two points of a curve, unless others are asked for: single ones of who remembers."""
    return 1 if has_memory(policy) else 20


class TaskState(NamedTuple):
    """What differs between tasks while acting; adaptation returns a new one.

    Gradient learners write the parameters, learners with memory the carry.

    Args:
        parameters: with or without a leading task axis.
        carry: of a policy with memory; None or empty before a trial begins.
        adaptations: how many lie behind it.
    """

    parameters: Parameters
    carry: Carry | None = None
    adaptations: int = 0
