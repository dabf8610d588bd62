"""Steps of trials as rows to replay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from metarl.compute.reduction import Reduction
from metarl.compute.task_map import TaskMap
from metarl.rollouts.replay import Replay
from metarl.rollouts.replay_shard import ReplayShard
from metarl.rollouts.rollout import Batch, next_observations


class Steps(NamedTuple):
    """Steps of several tasks, [task, step, ...].

    Args:
        observations, next_observations: [task, step, observation].
        actions: [task, step, action].
        rewards: [task, step].
        terminated: [task, step] bool; the environment ended the episode. A time limit does not.
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    next_observations: Tensor
    terminated: Tensor


def no_rows(
    observation_size: int, action_size: int, reduction: Reduction, marks: Mapping[str, torch.dtype]
) -> ReplayShard:
    """The memory before the first step.

    Columns: a step; `slot`, by whose number rows are on one rank; and others.

    Args:
        marks: the other columns.
    """
    observations, flags = torch.empty(0, observation_size), torch.empty(0, dtype=torch.bool)
    steps = Steps(observations, torch.empty(0, action_size), torch.empty(0), observations, flags)
    numbers = {name: torch.empty(0, dtype=kind) for name, kind in {"slot": torch.int32, **marks}.items()}
    return ReplayShard.of(Replay({**steps._asdict(), **numbers}), "slot", reduction.rank, reduction.size)


def fresh_slots(batch: Batch, iteration: int, task_map: TaskMap) -> Tensor:
    """A number of its own for every trial of an iteration, among all that were ever done; [task]."""
    tasks = len(task_map.all_tasks(batch.terminated))
    places = task_map.own_tasks(torch.arange(tasks, device=batch.valid.device))
    numbers: Tensor = iteration * tasks + places
    return numbers


def trial_rows(
    batch: Batch, slots: Tensor, marks: Mapping[str, Tensor], task_map: TaskMap
) -> dict[str, Tensor]:
    """An iteration's steps of all ranks as rows, trial by trial, without padding.

    Args:
        batch: this rank's whole trials, [task, episode, time, ...].
        slots: the column of that name, [task].
        marks: the other columns, of a shape that [task, episode, time] takes.
    """
    valid = batch.valid
    steps = Steps(
        batch.observations,
        batch.actions,
        batch.rewards,
        next_observations(batch),
        last_steps(valid) & batch.terminated.unsqueeze(-1),
    )
    wide = {"slot": slots.view(-1, 1, 1), **marks}
    columns = {**steps._asdict(), **{name: value.expand_as(valid) for name, value in wide.items()}}
    everywhere: dict[str, Tensor] = task_map.all_tasks({name: v[valid] for name, v in columns.items()})
    return everywhere


def last_steps(valid: Tensor) -> Tensor:
    """Which steps are the last of their episodes, of valid ones [..., time], a prefix; the same shape."""
    return valid & ~torch.nn.functional.pad(valid[..., 1:], (0, 1))
