"""Tasks' steps as rows to replay, and what gradient steps draw of them: the same on every rank."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from metarl.compute.reduction import Reduction
from metarl.compute.task_map import TaskMap
from metarl.meta_learners.outer.shared_groups import SharedGroups
from metarl.meta_learners.outer.trial_rows import Steps, fresh_slots, no_rows, trial_rows
from metarl.policies.posterior import PosteriorPolicy
from metarl.rollouts.replay import Replay
from metarl.rollouts.replay_shard import ReplayShard
from metarl.rollouts.rollout import SLOT, Batch
from metarl.rollouts.row_groups import Groups, draw_groups, draw_places, grouped, latest, rows_at


def nothing_done(policy: PosteriorPolicy, reduction: Reduction) -> ReplayShard:
    """The memory before the first step; a task's rows are on one rank, by its number.

    Columns: a step, `slot`, its task's number, `trial`, the iteration, and `explores`, whether z was drawn
    from N(0, I).
    """
    marks = {"trial": torch.int32, "explores": torch.bool}
    return no_rows(policy.observation_size, policy.action_size, reduction, marks)


def rows_of(batch: Batch, policy: PosteriorPolicy, iteration: int, task_map: TaskMap) -> dict[str, Tensor]:
    """An iteration's steps of all ranks as rows, task by task, without padding.

    Args:
        batch: this rank's whole trials, [task, episode, time, ...]; tasks without a slot are tasks of their
            own.
    """
    device, episodes = batch.valid.device, batch.valid.shape[1]
    slots = batch.extras[SLOT] if SLOT in batch.extras else fresh_slots(batch, iteration, task_map)
    trial = torch.full((1, 1, 1), iteration, device=device)
    explores = torch.arange(episodes, device=device).view(1, -1, 1) < policy.exploration_episodes
    return trial_rows(batch, slots, {"trial": trial, "explores": explores}, task_map)


class Pools(NamedTuple):
    """Rows by task: all of them, and those that contexts are of; the tasks are the same."""

    steps: Groups
    contexts: Groups


class ReplayDraws:
    """Draws of the rows of all ranks, while no rows are added.

    Args:
        own: this rank's rows.
        exploration_contexts: as `pools_of`.
    """

    def __init__(self, own: Replay, exploration_contexts: bool, task_map: TaskMap) -> None:
        self._own = own
        self._pools = pools_of(own, exploration_contexts)
        counts = [self._pools.steps.counts, self._pools.contexts.counts]
        self._shared = SharedGroups(self._pools.steps.labels, counts, task_map)

    @property
    def tasks(self) -> int:
        """How many there are to draw."""
        return len(self._shared)

    def draw(self, tasks: int, contexts: int, steps: int, generator: torch.Generator) -> tuple[Steps, Steps]:
        """Steps of different tasks: as many for a context, and as many others, of each; [task, step, ...].

        Args:
            tasks: to draw; there may be fewer.
            generator: in the same state on all ranks.
        """
        of_steps, of_contexts = self._shared.counts
        chosen = draw_groups(len(self._shared), tasks, generator)
        told = draw_places(of_contexts[chosen], contexts, generator)
        learned = draw_places(of_steps[chosen], steps, generator)
        mine, place = self._shared.own(chosen)
        own_told = rows_at(self._pools.contexts, place, told[mine])
        own_learned = rows_at(self._pools.steps, place, learned[mine])
        rows = self._own.pick(torch.cat((own_told, own_learned), dim=1))
        found = Steps(**self._shared.brought(chosen, {name: rows[name] for name in Steps._fields}))
        return Steps(*(v[:, :contexts] for v in found)), Steps(*(v[:, contexts:] for v in found))


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
