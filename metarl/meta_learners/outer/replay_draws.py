"""What gradient steps draw of rows that are shared out by task: the same on every rank, whoever has them."""

from __future__ import annotations

from typing import NamedTuple

import torch

from metarl.compute.task_map import TaskMap
from metarl.meta_learners.outer.soft_actor_critic import Steps
from metarl.rollouts.replay import Replay
from metarl.rollouts.row_groups import Groups, draw_groups, draw_places, grouped, latest, rows_at


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
        self._own, self._task_map = own, task_map
        self._pools = pools_of(own, exploration_contexts)
        mine, *counts = self._pools.steps.labels, self._pools.steps.counts, self._pools.contexts.counts
        labels, *counts = task_map.all_tasks([mine, *counts])
        order = torch.argsort(labels)
        labels = labels[order]
        self._steps, self._contexts = (of[order] for of in counts)
        self._rank = labels % task_map.reduction.size
        self._place = torch.full_like(order, -1)
        self._place[torch.searchsorted(labels, mine)] = torch.arange(len(mine))

    def draw(self, tasks: int, contexts: int, steps: int, generator: torch.Generator) -> tuple[Steps, Steps]:
        """Steps of different tasks: as many for a context, and as many others, of each; [task, step, ...].

        Args:
            tasks: to draw; there may be fewer.
            generator: in the same state on all ranks.
        """
        chosen = draw_groups(len(self._steps), tasks, generator)
        told = draw_places(self._contexts[chosen], contexts, generator)
        learned = draw_places(self._steps[chosen], steps, generator)
        place = self._place[chosen]
        mine = place >= 0
        own_told = rows_at(self._pools.contexts, place[mine], told[mine])
        own_learned = rows_at(self._pools.steps, place[mine], learned[mine])
        rows = self._own.pick(torch.cat((own_told, own_learned), dim=1))
        brought = self._task_map.all_tasks({name: rows[name] for name in Steps._fields})
        # They come by rank, each one's in the order of the draw.
        back = torch.argsort(torch.argsort(self._rank[chosen], stable=True))
        found = Steps(**{name: value[back] for name, value in brought.items()})
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
