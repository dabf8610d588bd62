"""What samplers return and learners read. One axis order everywhere: [task, episode, time, ...]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from metarl.math.gaussian import DiagonalGaussian


@dataclass(frozen=True)
class Rollout:
    """Episodes of several tasks, padded to one length.

    Entries after an episode's end (`valid` False) mean nothing and are never read.

    Args:
        observations: [task, episode, time, observation].
        actions: [task, episode, time, action], as drawn by the policy, before any clipping.
        rewards: [task, episode, time].
        valid: [task, episode, time] bool; True up to and including an episode's last step.
        terminated: [task, episode] bool; the environment ended the episode.
        truncated: [task, episode] bool; the time limit did.
        final_observations: [task, episode, observation], after the last step.
        behaviour: the distribution that drew the actions, [task, episode, time, action] each.
        behaviour_log_prob: [task, episode, time].
        diverged_episodes: episodes ended because the simulation left the finite numbers.
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    valid: Tensor
    terminated: Tensor
    truncated: Tensor
    final_observations: Tensor
    behaviour: DiagonalGaussian
    behaviour_log_prob: Tensor
    diverged_episodes: int = 0

    def __post_init__(self) -> None:
        episodes = self.rewards.shape[:2]
        for name in ("terminated", "truncated"):
            if getattr(self, name).shape != episodes:
                raise ValueError(f"expected {name} {list(episodes)}, got {list(getattr(self, name).shape)}")
        for name in ("observations", "actions", "valid", "behaviour_log_prob"):
            if getattr(self, name).shape[:3] != self.rewards.shape:
                got = list(getattr(self, name).shape)
                raise ValueError(f"expected {name} to start with {list(self.rewards.shape)}, got {got}")

    @property
    def environment_steps(self) -> int:
        return int(self.valid.sum())

    @property
    def returns(self) -> Tensor:
        """Undiscounted return of each episode; [task, episode]."""
        return torch.where(self.valid, self.rewards, 0.0).sum(-1)


class Batch(NamedTuple):
    """A rollout with its advantages: what losses read (a NamedTuple, so that torch.func maps over tasks).

    Shapes as in `Rollout`; advantages [task, episode, time], 0 where not valid; returns [task, episode].
    Inside a function mapped over tasks the leading axis is gone.
    """

    observations: Tensor
    actions: Tensor
    advantages: Tensor
    valid: Tensor
    behaviour: DiagonalGaussian
    behaviour_log_prob: Tensor
    returns: Tensor


class MetaBatch(NamedTuple):
    """One iteration's data: the support batch of every inner step, and the query batch."""

    support: tuple[Batch, ...]
    query: Batch

    @property
    def tasks(self) -> int:
        return len(self.query.valid)


def select_task(batch: Batch, task: int) -> Batch:
    """One task's batch: [task, episode, time, ...] -> [episode, time, ...]."""
    mean, log_std = batch.behaviour
    return Batch(
        batch.observations[task],
        batch.actions[task],
        batch.advantages[task],
        batch.valid[task],
        DiagonalGaussian(mean[task], log_std[task]),
        batch.behaviour_log_prob[task],
        batch.returns[task],
    )
