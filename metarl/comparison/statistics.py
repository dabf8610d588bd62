"""Intervals over seeds and tasks, and what a return took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from metarl_envs.task_parameters import Array
from numpy.typing import NDArray

_DRAWS = 4000
_LEVEL = 0.95


class Interval(NamedTuple):
    """A mean and the ends of its interval."""

    mean: float
    low: float
    high: float


def bootstrap(values: Array, task_numbers: NDArray[np.int64], rng: np.random.Generator) -> Interval:
    """The mean of [seed, task] and its 95 % percentile interval (Efron and Tibshirani 1993, chapter 13).

    Seeds and tasks are both drawn with replacement, because both would differ in another study; tasks
    are those of all seeds, so that one draw of tasks serves them all. Where tasks come several times,
    the list holds all there are, and each task's times alone are drawn.

    Args:
        task_numbers: equal where tasks are, [task].
    """
    seeds, tasks = values.shape
    chosen_seeds = rng.integers(seeds, size=(_DRAWS, seeds, 1))
    different = np.unique(task_numbers)
    strata = [np.arange(tasks)]
    if len(different) < tasks:
        strata = [np.flatnonzero(task_numbers == number) for number in different]
    drawn = [rng.choice(stratum, size=(_DRAWS, 1, len(stratum))) for stratum in strata]
    chosen_tasks = np.concatenate(drawn, axis=2)
    means = values[chosen_seeds, chosen_tasks].mean((1, 2))
    low, high = np.quantile(means, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Interval(float(values.mean()), float(low), float(high))


@dataclass(frozen=True)
class LearningCurve:
    """The return after adaptation while learning went on.

    Args:
        environment_steps: taken in learning before every evaluation, [evaluation].
        seconds: of learning before it, [evaluation].
        returns: mean over tasks, [evaluation].
    """

    environment_steps: Array
    seconds: Array
    returns: Array

    def first_at(self, target: float) -> tuple[float, float] | None:
        """Environment steps and seconds of the first evaluation that reaches a return; None if none does."""
        reached = np.flatnonzero(self.returns >= target)
        if not len(reached):
            return None
        return float(self.environment_steps[reached[0]]), float(self.seconds[reached[0]])
