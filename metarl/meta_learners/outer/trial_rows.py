"""Steps of trials as rows to replay, and the pools of rows that gradient steps draw from."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from metarl.meta_learners.outer.soft_actor_critic import Steps
from metarl.policies.posterior import PosteriorPolicy
from metarl.rollouts.replay import Replay
from metarl.rollouts.rollout import SLOT, Batch, next_observations
from metarl.rollouts.row_groups import Groups, grouped, latest


class Pools(NamedTuple):
    """Rows by task: all of them, and those that contexts are of; the tasks are the same."""

    steps: Groups
    contexts: Groups


def nothing_done(policy: PosteriorPolicy) -> Replay:
    """The memory before the first step.

    Columns: a step, `slot`, its task's number, `trial`, the iteration, and `explores`, whether z was drawn
    from N(0, I).
    """
    observations, flags = torch.empty(0, policy.observation_size), torch.empty(0, dtype=torch.bool)
    numbers = torch.empty(0, dtype=torch.int32)
    steps = Steps(observations, torch.empty(0, policy.action_size), torch.empty(0), observations, flags)
    return Replay({**steps._asdict(), "slot": numbers, "trial": numbers, "explores": flags})


def rows_of(batch: Batch, policy: PosteriorPolicy, trial: int) -> dict[str, Tensor]:
    """An iteration's steps [task, episode, time, ...] as rows, task by task, without padding.

    Args:
        batch: whole trials; tasks without a slot are tasks of their own.
        trial: the iteration.
    """
    valid = batch.valid
    tasks, episodes, _ = valid.shape
    fresh = trial * tasks + torch.arange(tasks, device=valid.device)
    slots = batch.extras.get(SLOT, fresh).view(-1, 1, 1).expand_as(valid)
    explores = (torch.arange(episodes, device=valid.device) < policy.exploration_episodes).view(1, -1, 1)
    last = valid & ~torch.nn.functional.pad(valid[..., 1:], (0, 1))
    steps = Steps(
        batch.observations,
        batch.actions,
        batch.rewards,
        next_observations(batch),
        last & batch.terminated.unsqueeze(-1),
    )
    marks = {"slot": slots, "trial": torch.full_like(slots, trial), "explores": explores.expand_as(valid)}
    return {name: value[valid] for name, value in {**steps._asdict(), **marks}.items()}


def pools_of(replay: Replay, exploration_contexts: bool) -> Pools:
    """The rows that gradient steps draw from: contexts are of the latest trial of every task.

    A task without a context, whose exploration has left the memory, is in neither pool.
    """
    slots, numbers = replay.column("slot"), torch.arange(replay.length)
    recent = latest(slots, replay.column("trial"))
    if exploration_contexts:
        recent = recent & replay.column("explores")
    told = torch.isin(slots, slots[recent])
    return Pools(grouped(slots[told], numbers[told]), grouped(slots[recent], numbers[recent]))
