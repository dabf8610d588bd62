"""Who acts in a rollout: a policy with the tasks' parameters, and the carry of one that remembers."""

from __future__ import annotations

import torch
from torch import Tensor

from metarl.math.parameters import Parameters
from metarl.policies.policy import (
    AnyPolicy,
    Carry,
    Distribution,
    Policy,
    Remembering,
    TaskState,
    Transition,
    remembers,
)


class Actor:
    """A policy without memory: what it does follows from the observation alone."""

    remembers = False
    carry: Carry

    def __init__(self, policy: Policy, parameters: Parameters) -> None:
        self._policy, self._parameters = policy, parameters
        self.carry = {}

    def begin_episode(self, noise: Tensor) -> None:
        """Nothing is kept from the episode before; noise [task, lane, 0]."""

    def act(self, observations: Tensor) -> Distribution:
        """Observations [task, lane, observation] -> the distribution of actions [task, lane, action]."""
        return self._policy(self._parameters, observations)

    def observe(self, step: Transition, active: Tensor) -> None:
        """Nothing is kept of the step."""


class RememberingActor:
    """A policy with memory; `carry` is what it knows at any time."""

    remembers = True

    def __init__(self, policy: Remembering, parameters: Parameters, carry: Carry) -> None:
        self._policy, self._parameters = policy, parameters
        self.carry = self._before = carry

    def begin_episode(self, noise: Tensor) -> None:
        """Tells the policy that an episode begins; noise [task, lane, episode_noise_size]."""
        self.carry = self._policy.begin_episode(self._parameters, self.carry, noise)

    def act(self, observations: Tensor) -> Distribution:
        """Observations [task, lane, observation] -> the distribution of actions [task, lane, action]."""
        self._before = self.carry
        distribution, self.carry = self._policy.act(self._parameters, self.carry, observations)
        return distribution

    def observe(self, step: Transition, active: Tensor) -> None:
        """Tells the policy a step's outcome; where an episode was over before it, the carry stays.

        Args:
            active: [task, lane] bool; whether the step belongs to an episode.
        """
        after = self._policy.observe(self._parameters, self.carry, step)
        self.carry = {name: _where(active, value, self._before[name]) for name, value in after.items()}


def actor_of(policy: AnyPolicy, state: TaskState, tasks: int, lanes: int) -> Actor | RememberingActor:
    """The policy in the state of its tasks; one that remembers and carries nothing begins a trial.

    Args:
        state: parameters [task, ...].
    """
    if not remembers(policy):
        return Actor(policy, state.parameters)
    carry = state.carry or policy.begin_trial(state.parameters, tasks, lanes)
    return RememberingActor(policy, state.parameters, carry)


def episode_noise_size(policy: AnyPolicy) -> int:
    """Standard normal numbers that the beginning of an episode draws."""
    return policy.episode_noise_size if remembers(policy) else 0


def _where(active: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(active.view(*active.shape, *[1] * (new.ndim - active.ndim)), new, old)
