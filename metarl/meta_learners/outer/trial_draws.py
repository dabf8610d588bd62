"""Whole trials as rows to replay, and draws of some of them: the same on every rank, whoever has them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from metarl.compute.reduction import Reduction
from metarl.compute.task_map import TaskMap
from metarl.meta_learners.outer.shared_groups import SharedGroups
from metarl.meta_learners.outer.trial_rows import Steps, fresh_slots, last_steps, no_rows, trial_rows
from metarl.policies.squashed_gru import SquashedGruPolicy
from metarl.rollouts.replay import Replay
from metarl.rollouts.replay_shard import ReplayShard
from metarl.rollouts.rollout import Batch
from metarl.rollouts.row_groups import Groups, draw_groups, grouped, rows_at


class ReplayedTrials(NamedTuple):
    """Trials as they were, one sequence each; padding stands at the end and may hold anything.

    Args:
        steps: [trial, time, ...].
        last: [trial, time] bool, the last step of an episode.
        valid: [trial, time] bool, a prefix.
    """

    steps: Steps
    last: Tensor
    valid: Tensor


def without_padding(trials: ReplayedTrials) -> ReplayedTrials:
    """Zeros where padding is: a gradient through what stands there would be 0 * NaN."""
    steps, last, valid = trials
    clean = [torch.where(valid.view(*valid.shape, *[1] * (x.ndim - 2)), x, x.new_zeros(())) for x in steps]
    return ReplayedTrials(Steps(*clean), last & valid, valid)


def nothing_done(policy: SquashedGruPolicy, reduction: Reduction) -> ReplayShard:
    """The memory before the first step; a trial's rows are on one rank, by its number.

    Columns: a step, `slot`, its trial's number, `place`, its own in the trial from 0, and `last`, whether it
    was the last of its episode.
    """
    marks = {"place": torch.int32, "last": torch.bool}
    return no_rows(policy.observation_size, policy.action_size, reduction, marks)


def rows_of(batch: Batch, iteration: int, task_map: TaskMap) -> dict[str, Tensor]:
    """An iteration's steps of all ranks as rows, trial by trial, without padding.

    Args:
        batch: this rank's whole trials, [task, episode, time, ...].
    """
    valid = batch.valid
    places = (valid.flatten(1).cumsum(1) - 1).view_as(valid)
    marks = {"place": places, "last": last_steps(valid)}
    return trial_rows(batch, fresh_slots(batch, iteration, task_map), marks, task_map)


class TrialDraws:
    """Draws of the trials of all ranks, while no rows are added.

    Args:
        own: this rank's rows.
    """

    def __init__(self, own: Replay, task_map: TaskMap) -> None:
        self._own = own
        self._groups = whole_trials(own)
        self._shared = SharedGroups(self._groups.labels, [self._groups.counts], task_map)

    @property
    def trials(self) -> int:
        """How many there are to draw."""
        return len(self._shared)

    def draw(self, trials: int, generator: torch.Generator) -> ReplayedTrials:
        """Different trials; there may be fewer.

        Args:
            generator: in the same state on all ranks.
        """
        chosen = draw_groups(len(self._shared), trials, generator)
        lengths = self._shared.counts[0][chosen].unsqueeze(1)
        time = torch.arange(int(lengths.max()))
        mine, place = self._shared.own(chosen)
        within = torch.minimum(time, lengths[mine] - 1)
        rows = self._own.pick(rows_at(self._groups, place, within))
        names = (*Steps._fields, "last")
        found = self._shared.brought(chosen, {name: rows[name] for name in names})
        valid = time < lengths
        return ReplayedTrials(Steps(*(found[n] for n in Steps._fields)), found["last"] & valid, valid)


def whole_trials(replay: Replay) -> Groups:
    """The rows by trial, without those of which the oldest rows have left."""
    slots, numbers = replay.column("slot"), torch.arange(replay.length)
    whole = torch.isin(slots, slots[replay.column("place") == 0])
    return grouped(slots[whole], numbers[whole])
