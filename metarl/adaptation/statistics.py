"""What can be told from noise: intervals over seeds and tasks, and single tasks made worse or better."""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from metarl_envs.task_parameters import Array
from numpy.typing import NDArray

LEVEL = 0.05
"""Chance of a false alarm: of an interval that misses the mean, or of any false verdict on a list."""
_DRAWS, _SEED = 4000, 0


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
    low, high = np.quantile(means, [LEVEL / 2, 1 - LEVEL / 2])
    return Interval(float(values.mean()), float(low), float(high))


def interval_of(values: Array, strata: NDArray[np.int64] | None = None) -> Interval:
    """As `bootstrap`, by draws that are always the same.

    Its ends are NaN where nothing can be drawn: one seed on one task, or on all tasks that exist, once each.
    """
    seeds, tasks = values.shape
    if not has_interval(seeds, tasks, strata):
        return Interval(float(values.mean()), math.nan, math.nan)
    return bootstrap(values, np.random.default_rng(_SEED), strata)


def has_interval(seeds: int, tasks: int, strata: NDArray[np.int64] | None) -> bool:
    """Whether `interval_of` so many values has ends."""
    kinds = 1 if strata is None else len(np.unique(strata))
    return seeds > 1 or tasks > kinds


def over_episodes(returns: Array) -> Interval:
    """The mean of episodes [episode] and its 95 % interval, by Student's t (1908); NaN ends of one episode.

    Of normal returns it holds the true mean with that chance however few they are; 1.96 standard errors hold
    it less often, of five episodes with a chance of 88 %.
    """
    mean, count = float(returns.mean()), len(returns)
    if count < 2:
        return Interval(mean, math.nan, math.nan)
    half = _t_quantile(count - 1) * float(returns.std(ddof=1)) / math.sqrt(count)
    return Interval(mean, mean - half, mean + half)


def sign_test(lower: Array, higher: Array) -> Array:
    """How likely noise alone puts so many of the first below the second, one-sided; [...].

    Exact for episodes that are drawn independently, whatever their distributions: where neither tends to be
    the lower one, each of n pairs is below with probability 1/2. Ties are left out (Dixon and Mood 1946).

    Args:
        lower, higher: episodes of two policies on the same tasks, [..., episode], in pairs.
    """
    pairs, below = (lower != higher).sum(-1), (lower < higher).sum(-1)
    chances = [_binomial_tail(int(n), int(k)) for n, k in zip(pairs.ravel(), below.ravel(), strict=True)]
    return np.array(chances).reshape(pairs.shape)


def holm(chances: Array, level: float = LEVEL) -> NDArray[np.bool_]:
    """Which of many tests are significant: the chance that any of them is so by noise is at most `level`.

    Holm's step-down method (1979), whatever the tests' dependence.

    Args:
        chances: the p-value of every test, [...], judged as one family.
    """
    order = np.argsort(chances, axis=None)
    held = chances.ravel()[order] <= level / np.arange(chances.size, 0, -1)
    found = np.zeros(chances.size, dtype=np.bool_)
    found[order] = np.logical_and.accumulate(held)
    return found.reshape(chances.shape)


class Changes(NamedTuple):
    """What adaptation did to single tasks, as far as it can be told from noise; [task] each."""

    worse: NDArray[np.bool_]
    better: NDArray[np.bool_]


def changed_tasks(before: Array, after: Array, level: float = LEVEL) -> Changes:
    """Tasks whose returns fell or rose beyond noise, by a sign test of their episodes.

    Every task's episodes after and before are pairs in their order. Where adaptation changes nothing, the
    chance that any task is called worse is at most `level`, and so is that of any called better: Holm's
    levels are over all tasks. Choosing tasks by one half of the episodes and testing them on the other finds
    fewer at the same chance of a false alarm, as half of the episodes say nothing in the test.

    Args:
        before, after: returns of fresh episodes, [task, episode].
    """
    return Changes(holm(sign_test(after, before), level), holm(sign_test(before, after), level))


def episodes_to_tell(tasks: int, level: float = LEVEL) -> int:
    """The fewest episodes with which `changed_tasks` can call any task of so many changed."""
    return math.ceil(math.log2(tasks / level))


@cache
def _binomial_tail(n: int, k: int) -> float:
    """The chance of at least k heads in n fair throws."""
    return float(sum(math.comb(n, i) for i in range(k, n + 1)) / 2**n)


@cache
def _t_quantile(freedom: int) -> float:
    """What Student's t, of so many degrees of freedom, exceeds to either side with a chance of `LEVEL`."""
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        angle = (low + high) / 2
        low, high = (angle, high) if _t_within(angle, freedom) < 1 - LEVEL else (low, angle)
    return math.sqrt(freedom) * math.tan(angle)


def _t_within(angle: float, freedom: int) -> float:
    """The chance that |t| < sqrt(freedom) tan(angle); Abramowitz and Stegun 1964, 26.7.3 and 26.7.4."""
    odd = freedom % 2
    k = np.arange(1, (freedom - odd) // 2)
    factors = (2 * k) / (2 * k + 1) if odd else (2 * k - 1) / (2 * k)
    series = math.sin(angle) * (1 + float(np.cumprod(factors * math.cos(angle) ** 2).sum()))
    if not odd:
        return series
    return 2 / math.pi * (angle + (math.cos(angle) * series if freedom > 1 else 0.0))
