"""What learners that replay do around their gradient steps: they remember, and keep what is finite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from metarl.compute.task_map import TaskMap
from metarl.math.parameters import flatten
from metarl.meta_learners.learner import NOT_FINITE, LearnerState, Update
from metarl.meta_learners.outer.soft_steps import SoftConfig, SoftState
from metarl.rollouts.replay_shard import ReplayShard


class ReplayOptimiser(NamedTuple):
    """The gradient steps' state, and the iterations done."""

    soft: SoftState
    iterations: Tensor


def remember(config: SoftConfig, state: LearnerState, rows: Mapping[str, Tensor]) -> tuple[ReplayShard, int]:
    """The memory with an iteration's rows, without the oldest; and how many gradient steps are due.

    Args:
        rows: of all ranks, [row, ...].
    """
    before = state.replay
    assert isinstance(before, ReplayShard)
    longer = before.append(rows)
    number = config.gradient_steps(before.ever, longer.ever)
    return longer.without_oldest(int(config.replay_capacity)), number


def dealt(number: int, everywhere: int, task_map: TaskMap) -> Tensor:
    """Which of the tasks that a gradient step draws this rank's gradients are of; [drawn] bool.

    They are dealt out to the places of all ranks' tasks in turn.

    Args:
        number: to draw.
        everywhere: tasks of an iteration, of all ranks.
    """
    own = task_map.own_tasks(torch.arange(everywhere))
    return torch.isin(torch.arange(number) % everywhere, own)


def finished(before: LearnerState, after: LearnerState, steps: int, metrics: Mapping[str, float]) -> Update:
    """The update; of gradient steps that led to what is not finite, the memory and the count alone stay.

    Args:
        steps: gradient steps that were taken.
        metrics: the learner's own, "kl" of the last step among them, if there was one.
    """
    replay = after.replay
    assert replay is not None
    told = {"kl": 0.0, "gradient_steps": float(steps), "replay_rows": float(replay.length), **metrics}
    if steps:
        told["temperature"] = after.parameters["log_temperature"].exp().item()
    if torch.isfinite(flatten(after.parameters)).all():
        return Update(after, {**told, "accepted": 1.0})
    kept = LearnerState(before.parameters, after.optimiser._replace(soft=before.optimiser.soft), replay)
    return Update(kept, {**told, "kl": 0.0, "accepted": 0.0}, NOT_FINITE)
