"""What samplers return and learners read. One axis order everywhere: [task, episode, time, ...]."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from metarl.policies.policy import Carry, Distribution


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
        behaviour: the distribution that drew the actions; its tensors are [task, episode, time, x].
        behaviour_log_prob: [task, episode, time].
        diverged_episodes: episodes ended because the simulation left the finite numbers.
        carry: what a policy with memory carries after the last step, [task, lane, ...].
        success: [task, episode] bool; a step's info told of success. None where none tells.
        seeds: [task] int64, of what a learner draws; None of samplers that training does not take.
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    valid: Tensor
    terminated: Tensor
    truncated: Tensor
    final_observations: Tensor
    behaviour: Distribution
    behaviour_log_prob: Tensor
    diverged_episodes: int = 0
    carry: Carry = field(default_factory=dict)
    success: Tensor | None = None
    seeds: Tensor | None = None

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
        return episode_returns(self.rewards, self.valid)


SLOT, SEED = "slot", "seed"
"""Names of the extras that tell which tasks come again, and from what a learner draws."""


class Batch(NamedTuple):
    """A rollout with its advantages: what losses read (a NamedTuple, so that torch.func maps over tasks).

    Shapes as in `Rollout`. Inside a function mapped over tasks the leading axis is gone.

    Args:
        advantages: [task, episode, time], 0 where not valid; NaN everywhere for learners that read none.
        extras: what an algorithm adds for its own losses; [task, ...] each. `SEED` is there of what a sampler
            for training collected, an int64 that follows from its key and the task's number among those of
            all ranks. Of tasks from a list, training adds `SLOT`, their places in it, to the query batch.
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    advantages: Tensor
    valid: Tensor
    terminated: Tensor
    final_observations: Tensor
    behaviour: Distribution
    behaviour_log_prob: Tensor
    extras: dict[str, Tensor] = {}  # noqa: RUF012 (never written to)

    @property
    def returns(self) -> Tensor:
        """Undiscounted return of each episode; [task, episode]."""
        return episode_returns(self.rewards, self.valid)


class MetaBatch(NamedTuple):
    """One iteration's data: the support batch of every inner step, and the query batch."""

    support: tuple[Batch, ...]
    query: Batch

    @property
    def tasks(self) -> int:
        return len(self.query.valid)


def seeds_of(batch: Batch) -> Tensor:
    """From what a learner draws, [task] int64.

    Raises:
        ValueError: the batch is of no sampler for training.
    """
    if SEED not in batch.extras:
        raise ValueError(
            f"extras: expected {SEED!r}, an integer per task, as RolloutSampler gives it, got none"
        )
    return batch.extras[SEED]


def with_slots(batch: MetaBatch, slots: Tensor) -> MetaBatch:
    """The meta-batch whose query batch tells the tasks' places in the list, [task]."""
    query = batch.query
    extras = {**query.extras, SLOT: slots.to(query.rewards.device)}
    return batch._replace(query=query._replace(extras=extras))


def trial_starts(rollout: Rollout) -> Rollout:
    """The first episode of every trial; a rollout without a carry as it is."""
    lanes = next((value.shape[1] for value in rollout.carry.values()), None)
    if lanes is None or lanes == rollout.rewards.shape[1]:
        return rollout
    names = ("observations", "actions", "rewards", "valid", "terminated", "truncated", "final_observations")
    parts = {name: getattr(rollout, name) for name in (*names, "behaviour", "behaviour_log_prob", "success")}
    return replace(rollout, **tree_map(lambda part: None if part is None else part[:, :lanes], parts))


def episode_returns(rewards: Tensor, valid: Tensor) -> Tensor:
    """Undiscounted returns of rewards [..., time]; [...]."""
    return torch.where(valid, rewards, 0.0).sum(-1)


def next_observations(data: Rollout | Batch) -> Tensor:
    """What followed every step, [..., time, observation]; after an episode's last step its final one.

    Padding means nothing here either.
    """
    later = torch.cat((data.observations[..., 1:, :], data.final_observations.unsqueeze(-2)), dim=-2)
    last = data.valid & ~torch.nn.functional.pad(data.valid[..., 1:], (0, 1))
    return torch.where(last.unsqueeze(-1), data.final_observations.unsqueeze(-2), later)
