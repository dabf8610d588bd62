"""Adaptation curves: the return after 0, 1, ..., K inner steps, task by task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from metarl_envs.task_parameters import Array
from metarl_envs.tasks import Tasks, number_of_tasks, number_tasks

from metarl.adaptation.meta_batch import adapt_tasks
from metarl.compute.task_map import TaskMap
from metarl.math.parameters import Parameters, repeat
from metarl.meta_learners.learner import MetaLearner
from metarl.rollouts.advantages import AdvantageConfig, compute_advantages
from metarl.rollouts.sampler import RolloutSampler


@dataclass(frozen=True)
class AdaptationCurve:
    """Mean return of every task after every number of inner steps; [step + 1, task].

    The return after k steps is measured on episodes that those k steps did not use.

    Args:
        episode_returns: of the single episodes, [step + 1, task, episode], where they are known.
    """

    tasks: Tasks
    returns: Array
    episode_returns: Array | None = None

    @property
    def mean(self) -> Array:
        """[step + 1]."""
        return np.asarray(self.returns.mean(1))

    @property
    def half_width(self) -> Array:
        """Half the mean's 95 % interval, 1.96 standard errors over tasks; [step + 1], NaN for one task."""
        tasks = self.returns.shape[1]
        if tasks == 1:
            return np.full(len(self.returns), np.nan)
        return np.asarray(1.96 * self.returns.std(1, ddof=1) / np.sqrt(tasks))

    @property
    def count(self) -> str:
        """ "40", or "40 (2 different)" where an environment has no more."""
        numbers = number_tasks(self.tasks)
        different = len(set(numbers.tolist()))
        return f"{len(numbers)}" if different == len(numbers) else f"{len(numbers)} ({different} different)"

    @property
    def worsened(self) -> int:
        """Tasks whose return after the last step is below that before the first."""
        return int((self.returns[-1] < self.returns[0]).sum())


def evaluate_adaptation(
    sampler: RolloutSampler,
    learner: MetaLearner,
    task_map: TaskMap,
    advantages: AdvantageConfig,
    parameters: Parameters,
    tasks: Tasks,
    *,
    steps: int,
    key: Sequence[int],
    deterministic: bool = False,
    progress: Callable[[], object] = lambda: None,
) -> tuple[AdaptationCurve, Parameters]:
    """Adapts to every task for K steps, on fresh episodes at every step.

    Args:
        parameters: the meta-parameters, without a task axis.
        deterministic: measure returns with mean actions, on episodes of their own; adaptation still
            samples its own.
        progress: called after every number of steps.

    Returns:
        The curve, and the adapted parameters [task, ...].
    """
    current = repeat(parameters, number_of_tasks(tasks))
    returns, episode_returns = [], []
    for step in range(steps + 1):
        rollout = sampler.collect(current, tasks, [*key, step])
        measured = rollout
        if deterministic:
            measured = sampler.collect(current, tasks, [*key, steps + 1 + step], deterministic=True)
        returns.append(measured.returns.mean(-1).double().cpu().numpy())
        episode_returns.append(measured.returns.double().cpu().numpy())
        progress()
        if step < steps:
            batch, _ = compute_advantages(rollout, advantages)
            current = adapt_tasks(learner, task_map, current, batch, step)
    return AdaptationCurve(tasks, np.stack(returns), np.stack(episode_returns)), current
