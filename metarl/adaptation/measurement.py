"""What was measured on one list of tasks: of runs that differ in their seeds, and beside baselines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from metarl_envs.task_parameters import Array
from metarl_envs.tasks import number_of_tasks
from numpy.typing import NDArray

from metarl.adaptation.evaluation import AdaptationCurve
from metarl.adaptation.points import Points
from metarl.adaptation.statistics import Changes, Interval, interval_of


@dataclass(frozen=True)
class SeedCurves:
    """Curves of runs that differ in their seeds alone, on as many tasks each.

    Args:
        curves: one per run.
        strata: each task's number, [task], where the list holds all tasks that exist; None for drawn ones.
        seeds: the runs' own, a curve each; without them, results by task do not name seeds.
    """

    curves: tuple[AdaptationCurve, ...]
    strata: NDArray[np.int64] | None = None
    seeds: tuple[int, ...] = ()

    @property
    def points(self) -> Points:
        """What adaptation is counted by."""
        return self.curves[0].points

    @property
    def tasks(self) -> int:
        return number_of_tasks(self.curves[0].tasks)

    @property
    def returns(self) -> Array:
        """[seed, step + 1, task]."""
        return np.stack([curve.returns for curve in self.curves])

    @cached_property
    def intervals(self) -> list[Interval]:
        """Mean return and its 95 % interval over seeds and tasks, by inner steps.

        NaN where nothing can be drawn: one seed on one task, or on all tasks that exist, once each.
        """
        return [interval_of(returns, self.strata) for returns in self.returns.swapaxes(0, 1)]

    @property
    def gain(self) -> Interval:
        """Return after the last step minus that before the first, and its 95 % interval."""
        return interval_of(self.returns[:, -1] - self.returns[:, 0], self.strata)

    @property
    def changes(self) -> Changes | None:
        """Tasks made worse or better beyond noise, [seed, task], judged as one family; None if not known."""
        found = self.pooled.changes
        if found is None:
            return None
        shape = len(self.curves), self.tasks
        return Changes(found.worse.reshape(shape), found.better.reshape(shape))

    @property
    def pooled(self) -> AdaptationCurve:
        """All seeds' tasks as one list."""
        first = self.curves[0]
        tasks = {name: np.concatenate([one.tasks[name] for one in self.curves]) for name in first.tasks}
        episodes = [one.episode_returns for one in self.curves if one.episode_returns is not None]
        known = len(episodes) == len(self.curves)
        return AdaptationCurve(
            tasks,
            np.concatenate([*self.returns], axis=1),
            np.concatenate(episodes, axis=1) if known else None,
            trial_episodes=self.curves[0].trial_episodes,
        )

    @property
    def worsened(self) -> int:
        """Of all seeds' tasks, those with a lower mean after the last step, be it by noise alone."""
        return self.pooled.worsened


@dataclass(frozen=True)
class Measured:
    """What was measured on one list of tasks.

    Args:
        phrase: what the list is, e.g. "40 held-out tasks".
        own: of the runs that were asked for.
        by_episodes: of the same runs, adapting to so many episodes at every inner step; measured on as
            many held-back episodes each.
        beside: of other runs on these tasks, by their names.
    """

    phrase: str
    own: SeedCurves
    by_episodes: Mapping[int, SeedCurves] = field(default_factory=dict)
    beside: Mapping[str, SeedCurves] = field(default_factory=dict)

    @property
    def points(self) -> Points:
        """What the adaptation of all is counted by: inner steps, but episodes where one of them remembers.

        All are measured with the same number of episodes per step.
        """
        all_points = [curves.points for curves in (self.own, *self.beside.values())]
        return next((points for points in all_points if points.trial_episodes), self.own.points)
