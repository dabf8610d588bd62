"""One iteration's data: sample, adapt, sample again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

import torch
from metarl_envs.tasks import Tasks, number_of_tasks
from torch import Tensor

from metarl.compute.task_map import TaskMap
from metarl.errors import NonFiniteError
from metarl.math.gaussian import entropy, kl_divergence
from metarl.math.parameters import Parameters, first_not_finite, repeat
from metarl.math.returns import masked_mean
from metarl.meta_learners.learner import MetaLearner
from metarl.policies.policy import Policy
from metarl.rollouts.advantages import AdvantageConfig, compute_advantages
from metarl.rollouts.rollout import Batch, MetaBatch
from metarl.rollouts.sampler import RolloutSampler


class Collected(NamedTuple):
    """A meta-batch, diagnostics by name, the environment steps it took, and mean returns [phase, task]."""

    batch: MetaBatch
    metrics: dict[str, float]
    environment_steps: int
    returns: Tensor


def adapt_tasks(
    learner: MetaLearner, task_map: TaskMap, parameters: Parameters, batch: Batch, step: int
) -> Parameters:
    """Inner step number `step` of every task: [task, ...] -> [task, ...], detached.

    Raises:
        NonFiniteError: a task's adapted parameters are not finite.
    """

    def adapt_task(theta: Parameters, data: Batch) -> Parameters:
        return learner.inner_step(theta, data, step)

    with torch.no_grad():
        adapted: Parameters = task_map(adapt_task, parameters, batch, tasks=len(batch.valid))
    if fault := first_not_finite(adapted):
        raise NonFiniteError(f"adapted parameters {fault[0]}", fault[1])
    return adapted


def collect_meta_batch(
    sampler: RolloutSampler,
    policy: Policy,
    learner: MetaLearner,
    task_map: TaskMap,
    advantages: AdvantageConfig,
    parameters: Parameters,
    tasks: Tasks,
    key: Sequence[int],
) -> Collected:
    """Support rollouts of every inner step with fresh episodes, then the query rollout.

    Args:
        parameters: the meta-parameters, without a task axis.
        key: determines all randomness.
    """
    clock = _Clock()
    current = repeat(parameters, number_of_tasks(tasks))
    batches: list[Batch] = []
    returns: list[float] = []
    returns_by_task: list[Tensor] = []
    explained: list[Tensor] = []
    steps = diverged = 0
    inner_kl = 0.0
    for phase in range(learner.inner_steps + 1):
        rollout = sampler.collect(current, tasks, [*key, phase])
        clock.lap("sampling")
        batch, share = compute_advantages(rollout, advantages)
        clock.lap("advantages")
        batches.append(batch)
        returns.append(rollout.returns.mean().item())
        returns_by_task.append(rollout.returns.mean(-1))
        explained.append(share.mean())
        steps += rollout.environment_steps
        diverged += rollout.diverged_episodes
        if phase < learner.inner_steps:
            current = adapt_tasks(learner, task_map, current, batch, phase)
            inner_kl += _kl(policy, current, batch) / learner.inner_steps
            clock.lap("adaptation")
    query = batches[-1]
    metrics = {
        "rollout/return_before": returns[0],
        "rollout/return_after": returns[-1],
        "rollout/diverged_episodes": float(diverged),
        "inner/kl": inner_kl,
        "policy/entropy": masked_mean(entropy(query.behaviour), query.valid).item(),
        "policy/std": masked_mean(query.behaviour.log_std.exp().mean(-1), query.valid).item(),
        "baseline/explained_variance": torch.stack(explained).mean().item(),
        **{f"time/{phase}_seconds": seconds for phase, seconds in clock.seconds.items()},
        "time/environment_steps_per_second": steps / clock.seconds["sampling"],
    }
    return Collected(MetaBatch(tuple(batches[:-1]), query), metrics, steps, torch.stack(returns_by_task))


def _kl(policy: Policy, adapted: Parameters, batch: Batch) -> float:
    """How far an inner step moved the policies: mean KL(behaviour || adapted)."""
    with torch.no_grad():
        distribution = policy(adapted, batch.observations)
        return masked_mean(kl_divergence(batch.behaviour, distribution), batch.valid).item()


class _Clock:
    """Seconds by phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, phase: str) -> None:
        now = time.perf_counter()
        self.seconds[phase] = self.seconds.get(phase, 0.0) + now - self._last
        self._last = now
