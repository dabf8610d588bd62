"""Adaptation curves: the return after 0, 1, ..., K inner steps, task by task."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from metarl_envs.task_parameters import Array
from metarl_envs.tasks import Tasks, number_of_tasks, number_tasks
from numpy.typing import NDArray

from metarl.adaptation.points import Points
from metarl.adaptation.statistics import Changes, Interval, changed_tasks, episodes_to_tell, interval_of
from metarl.adaptation.walk import Sampler, Walk
from metarl.math.parameters import Parameters, select
from metarl.policies.policy import TaskState
from metarl.rollouts.rollout import Rollout, trial_starts


@dataclass(frozen=True)
class AdaptationCurve:
    """Mean return of every task after every number of inner steps; [step + 1, task].

    The return after k steps is measured on episodes that those k steps did not use.

    Args:
        episode_returns: of the single episodes, [step + 1, task, episode], where they are known.
        trial_episodes: of a policy with memory, the episodes between two points: every
            point is of the next episode of some trials, whose earlier ones it remembers; None of a policy
            without memory, whose points are numbers of inner steps.
        strata: each task's number, [task], where the list holds all tasks that exist; None for drawn ones.
    """

    tasks: Tasks
    returns: Array
    episode_returns: Array | None = None
    strata: NDArray[np.int64] | None = None
    trial_episodes: int | None = None

    @property
    def points(self) -> Points:
        """What adaptation is counted by."""
        return Points(len(self.returns), self.trial_episodes)

    @property
    def mean(self) -> Array:
        """[step + 1]."""
        return np.asarray(self.returns.mean(1))

    @cached_property
    def intervals(self) -> list[Interval]:
        """Mean return and its bootstrap 95 % interval over tasks, by inner steps; NaN for one task."""
        return [interval_of(returns[None], self.strata) for returns in self.returns]

    @property
    def count(self) -> str:
        """ "40", or "40 (2 different)" where an environment has no more."""
        numbers = number_tasks(self.tasks)
        different = len(set(numbers.tolist()))
        return f"{len(numbers)}" if different == len(numbers) else f"{len(numbers)} ({different} different)"

    @property
    def worsened(self) -> int:
        """Tasks whose return after the last step is below that before the first, be it by noise alone."""
        return int((self.returns[-1] < self.returns[0]).sum())

    @property
    def changes(self) -> Changes | None:
        """Tasks made worse or better beyond noise by all steps; None where no single episodes are known."""
        if self.episode_returns is None:
            return None
        return changed_tasks(self.episode_returns[0], self.episode_returns[-1])

    @property
    def changes_can_be_told(self) -> bool:
        """Whether episodes, or trials, are enough for `changes` to call any task worse or better."""
        found = self.episode_returns
        return found is not None and found.shape[2] >= episodes_to_tell(found.shape[1])


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Args:
        curve: the returns by task and number of inner steps.
        adapted: the tasks' state after the last step, tensors [task, ...].
        rollouts: those that the returns were measured on, a number of steps each, if they were asked for.
    """

    curve: AdaptationCurve
    adapted: TaskState
    rollouts: tuple[Rollout, ...] = ()

    def __repr__(self) -> str:
        points = self.curve.points
        means = (f"{mean:.2f} after {points.text(k)}" for k, mean in enumerate(self.curve.mean))
        kept = f"; {len(self.rollouts)} rollouts" if self.rollouts else ""
        return f"Evaluation({number_of_tasks(self.curve.tasks)} tasks: {', '.join(means)}{kept})"

    @property
    def first(self) -> TaskState:
        """The first task's state: parameters without a task axis, and the carry of one trial, [1, 1, ...]."""
        carry = {name: value[:1, :1] for name, value in (self.adapted.carry or {}).items()}
        return self.adapted._replace(parameters=select(self.adapted.parameters, 0), carry=carry)


def evaluate_adaptation(
    walk: Walk,
    parameters: Parameters,
    tasks: Tasks,
    *,
    steps: int,
    key: Sequence[int],
    deterministic: bool = False,
    keep_rollouts: bool = False,
    measuring: Sampler | None = None,
    progress: Callable[[], object] = lambda: None,
    shown: Callable[[Array], object] = lambda returns: None,
) -> Evaluation:
    """Adapts to every task for K steps, on fresh episodes at every step.

    Args:
        parameters: the meta-parameters, without a task axis.
        deterministic: measure returns with mean actions, on episodes of their own; adaptation still
            samples its own.
        keep_rollouts: those that were measured.
        measuring: samples the episodes that are measured, with the same noise at every number of steps, and
            no step adapts to them; None measures those that the next step adapts to.
        progress: called after every number of steps.
        shown: called then with the returns of the measured episodes, [task, episode].
    """
    means: list[Array] = []
    returns: list[Array] = []
    kept: list[Rollout] = []
    state = walk.start(parameters, number_of_tasks(tasks))
    walked = measured_walk(
        walk, state, tasks, steps=steps, key=key, deterministic=deterministic, measuring=measuring
    )
    for at, rollout in walked:
        state = at
        returns.append(rollout.returns.double().cpu().numpy())
        means.append(rollout.returns.mean(-1).double().cpu().numpy())
        if keep_rollouts:
            kept.append(rollout)
        progress()
        shown(returns[-1])
    curve = AdaptationCurve(tasks, np.stack(means), np.stack(returns))
    return Evaluation(curve, state, tuple(kept))


def measured_walk(
    walk: Walk,
    state: TaskState,
    tasks: Any,
    *,
    steps: int,
    key: Sequence[int],
    deterministic: bool = False,
    measuring: Sampler | None = None,
) -> Iterator[tuple[TaskState, Rollout]]:
    """The state after 0, 1, ..., K inner steps, each with the episodes that measure it.

    Of a policy with memory an inner step is a round of episodes, and the first of the next round measures it:
    the others know more already.

    Args:
        state: before adaptation, tensors [task, ...].
        tasks: as the samplers take them.
        deterministic, measuring: as of `evaluate_adaptation`.
    """

    def held_back(before: TaskState, step: int) -> Rollout:
        sampler, number = (walk.sampler, step) if measuring is None else (measuring, 0)
        rollout = sampler.collect(before, tasks, [*key, steps + 1 + number], deterministic=deterministic)
        return trial_starts(rollout)

    apart = deterministic or measuring is not None
    for step, (visit, adapted) in enumerate(walk.walk(state, tasks, key, steps)):
        yield state, held_back(state, step) if apart else trial_starts(visit.rollout)
        state = adapted
    if apart:
        yield state, held_back(state, steps)
    else:
        yield state, trial_starts(walk.visit(state, tasks, [*key, steps]).rollout)
