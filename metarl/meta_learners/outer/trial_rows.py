"""Steps of trials as rows to replay."""

from __future__ import annotations

import torch
from torch import Tensor

from metarl.compute.reduction import Reduction
from metarl.compute.task_map import TaskMap
from metarl.meta_learners.outer.soft_actor_critic import Steps
from metarl.policies.posterior import PosteriorPolicy
from metarl.rollouts.replay import Replay
from metarl.rollouts.replay_shard import ReplayShard
from metarl.rollouts.rollout import SLOT, Batch, next_observations


def nothing_done(policy: PosteriorPolicy, reduction: Reduction) -> ReplayShard:
    """The memory before the first step; a task's rows are on one rank, by its number.

    Columns: a step, `slot`, its task's number, `trial`, the iteration, and `explores`, whether z was drawn
    from N(0, I).
    """
    observations, flags = torch.empty(0, policy.observation_size), torch.empty(0, dtype=torch.bool)
    numbers = torch.empty(0, dtype=torch.int32)
    steps = Steps(observations, torch.empty(0, policy.action_size), torch.empty(0), observations, flags)
    empty = Replay({**steps._asdict(), "slot": numbers, "trial": numbers, "explores": flags})
    return ReplayShard.of(empty, "slot", reduction.rank, reduction.size)


def rows_of(batch: Batch, policy: PosteriorPolicy, trial: int, task_map: TaskMap) -> dict[str, Tensor]:
    """An iteration's steps of all ranks as rows, task by task, without padding.

    Args:
        batch: this rank's whole trials, [task, episode, time, ...]; tasks without a slot are tasks of their
            own.
        trial: the iteration.
    """
    valid, episodes = batch.valid, batch.valid.shape[1]
    tasks = len(task_map.all_tasks(batch.terminated))
    fresh = trial * tasks + task_map.own_tasks(torch.arange(tasks, device=valid.device))
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
    own = {name: value[valid] for name, value in {**steps._asdict(), **marks}.items()}
    everywhere: dict[str, Tensor] = task_map.all_tasks(own)
    return everywhere
