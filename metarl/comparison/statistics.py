"""Intervals over seeds and tasks, and the cost of reaching a return."""

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


def bootstrap(values: Array, rng: np.random.Generator, strata: NDArray[np.int64] | None = None) -> Interval:
    """The mean of [seed, task] and its 95 % percentile interval (Efron and Tibshirani 1993, chapter 13).

    Seeds and tasks are both drawn with replacement, because both would differ in another study; tasks
    are those of all seeds, so that one draw of tasks serves them all.

    Args:
        strata: each task's number, [task], for a list that holds all tasks that exist, each several times:
            tasks are then drawn among those of the same number; None draws among all.
    """
    seeds, tasks = values.shape
    chosen_seeds = rng.integers(seeds, size=(_DRAWS, seeds, 1))
    numbers = np.zeros(tasks, dtype=np.int64) if strata is None else strata
    groups = [np.flatnonzero(numbers == number) for number in np.unique(numbers)]
    drawn = [rng.choice(group, size=(_DRAWS, 1, len(group))) for group in groups]
    chosen_tasks = np.concatenate(drawn, axis=2)
    means = values[chosen_seeds, chosen_tasks].mean((1, 2))
    low, high = np.quantile(means, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Interval(float(values.mean()), float(low), float(high))


@dataclass(frozen=True)
class LearningCurve:
    """The return after adaptation in the course of learning.

    Args:
        environment_steps: taken in learning before every evaluation, [evaluation].
        seconds: of learning before it, [evaluation].
        returns: mean over tasks, [evaluation].
        complete: whether no evaluation of the comparison's is missing; else the cost of a return is an upper
            bound.
    """

    environment_steps: Array
    seconds: Array
    returns: Array
    complete: bool = True

    def first_at(self, target: float) -> tuple[float, float] | None:
        """Environment steps and seconds of the first evaluation that reaches a return; None if none does."""
        reached = np.flatnonzero(self.returns >= target)
        if not len(reached):
            return None
        return float(self.environment_steps[reached[0]]), float(self.seconds[reached[0]])
