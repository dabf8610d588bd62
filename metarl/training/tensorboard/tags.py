"""Columns of progress.csv, and what an evaluation found, as tags of charts."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from metarl.adaptation.evaluation import Evaluation
from metarl.adaptation.figures.curves import EvaluationPoint
from metarl.adaptation.measurement import SeedCurves
from metarl.adaptation.points import Points
from metarl.rollouts.rollout import Rollout
from metarl.training.tensorboard.groups import (
    ADAPTATION,
    HEALTH,
    INTERVALS,
    RESOURCES,
    TRAINING,
)

_AXES = ("rollout/environment_steps",)
"""Columns that are no charts."""
_GROUPS = {"rollout": TRAINING, "time": RESOURCES}
_ELSEWHERE = {"rollout/diverged_episodes": f"{HEALTH}/diverged_episodes"}


def iteration_points(metrics: Mapping[str, float]) -> dict[str, float]:
    """An iteration's points by tag; those of an evaluation are left to `evaluation_points`."""
    points = {
        tag_of(column): value
        for column, value in metrics.items()
        if column not in _AXES and not column.startswith("evaluation/")
    }
    ends = [metrics.get(f"rollout/return_{end}") for end in ("before", "after")]
    if ends[0] is not None and ends[1] is not None:
        points[f"{TRAINING}/gain"] = ends[1] - ends[0]
    return points


def tag_of(column: str) -> str:
    """The tag of a column: "rollout/..." is of training, "time/..." of resources, others of health."""
    group, _, name = column.partition("/")
    usual = f"{_GROUPS[group]}/{name}" if group in _GROUPS else f"{HEALTH}/{column}"
    return _ELSEWHERE.get(column, usual)


def return_tag(points: Points, point: int) -> str:
    """Of a curve's point, without its group: "return_after_2_steps", "return_after_1_episode"."""
    return f"return_after_{points.text(point).replace('inner ', '').replace(' ', '_')}"


def evaluation_point(
    evaluation: Evaluation, environment_steps: int, strata: NDArray[np.int64] | None
) -> EvaluationPoint:
    """The evaluation's means and their intervals.

    Args:
        strata: as of `evaluation_points`.
    """
    mean, low, high = np.array(SeedCurves((evaluation.curve,), strata).intervals).T
    return EvaluationPoint(environment_steps, mean, low, high)


def evaluation_points(
    evaluation: Evaluation, point: EvaluationPoint, strata: NDArray[np.int64] | None
) -> dict[str, float]:
    """An evaluation's points by tag.

    Args:
        strata: each task's number, [task], where the list holds all tasks that exist; None for drawn ones.
    """
    curve = evaluation.curve
    points: dict[str, float] = {}
    for step, (mean, low, high) in enumerate(zip(point.mean, point.low, point.high, strict=True)):
        tag = return_tag(curve.points, step)
        points[f"{ADAPTATION}/{tag}"] = float(mean)
        points |= _ends(tag, low, high)
    points |= {
        f"{ADAPTATION}/return_{end}": float(point.mean[at]) for end, at in (("before", 0), ("after", -1))
    }
    gain, changes = SeedCurves((curve,), strata).gain, curve.changes
    points[f"{ADAPTATION}/gain"] = gain.mean
    points |= _ends("gain", gain.low, gain.high)
    if changes is not None and curve.changes_can_be_told:
        points[f"{ADAPTATION}/share_of_tasks_made_worse"] = float(changes.worse.mean())
    if evaluation.rollouts:
        for end, rollout in (("before", evaluation.rollouts[0]), ("after", evaluation.rollouts[-1])):
            points |= {f"{ADAPTATION}/{name}_{end}": value for name, value in _episodes(rollout).items()}
    return points


def _ends(name: str, low: float, high: float) -> dict[str, float]:
    """Those of an interval; none where it does not exist."""
    if math.isnan(low):
        return {}
    return {f"{INTERVALS}/{name}_low": float(low), f"{INTERVALS}/{name}_high": float(high)}


def _episodes(rollout: Rollout) -> dict[str, float]:
    found = {"steps_per_episode": rollout.valid.sum(-1).double().mean().item()}
    if rollout.success is not None:
        found["success"] = rollout.success.double().mean().item()
    return found
