"""The rows of a comparison's table: one per algorithm, over its seeds and tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metarl.adaptation.statistics import Interval, bootstrap
from metarl.comparison.runs import Result


@dataclass(frozen=True)
class Row:
    """An algorithm's row.

    Args:
        label: the algorithm's.
        seeds, tasks: how many.
        existing: how many different tasks exist, where the list holds all of them; None for drawn ones.
        returns: after 0, ..., K inner steps.
        worsened: share of tasks whose return after the last inner step is below that before the first.
        environment_steps, seconds: means over seeds.
        to_target: mean environment steps and seconds to the target, over the seeds that reached it.
        reached: how many seeds did.
        exact: whether the target was looked for at all of the comparison's evaluations; else
            `to_target` is an upper bound.
        per_task: whether steps and seconds are those of a single task.
        tasks_name: as of `Result`.
    """

    label: str
    seeds: int
    tasks: int
    existing: int | None
    returns: list[Interval]
    worsened: float
    environment_steps: float
    seconds: float
    to_target: tuple[float, float] | None
    reached: int
    exact: bool
    per_task: bool
    tasks_name: str


def summarise(results: Sequence[Result], target: float | None) -> tuple[list[Row], float]:
    """One row per algorithm, the best after all inner steps first, and the target return.

    Args:
        target: a return; None takes the one a fifth below the best final mean, on the way from the lowest
            mean before adaptation.
    """
    of: dict[str, list[Result]] = {}
    for result in results:
        of.setdefault(result.label, []).append(result)
    means = [np.mean([one.returns.mean(1) for one in group], axis=0) for group in of.values()]
    if target is None:
        best, worst = max(mean[-1] for mean in means), min(mean[0] for mean in means)
        target = float(best - 0.2 * (best - worst))
    rows = [_row(label, group, target) for label, group in of.items()]
    return sorted(rows, key=lambda row: -row.returns[-1].mean), target


def _row(label: str, results: Sequence[Result], target: float) -> Row:
    returns = np.stack([result.returns for result in results])  # [seed, step + 1, task]
    strata = results[0].strata
    found = [result.learning.first_at(target) for result in results]
    reached = [one for one in found if one is not None]
    rng = np.random.default_rng(0)
    return Row(
        label,
        seeds=len(results),
        tasks=returns.shape[2],
        existing=None if strata is None else len(np.unique(strata)),
        returns=[bootstrap(returns[:, step], rng, strata) for step in range(returns.shape[1])],
        worsened=float((returns[:, -1] < returns[:, 0]).mean()),
        environment_steps=float(np.mean([result.environment_steps for result in results])),
        seconds=float(np.mean([result.seconds for result in results])),
        to_target=(float(np.mean([s for s, _ in reached])), float(np.mean([t for _, t in reached])))
        if reached
        else None,
        reached=len(reached),
        exact=all(result.learning.complete for result in results),
        per_task=results[0].per_task,
        tasks_name=results[0].tasks_name,
    )
