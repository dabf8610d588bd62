"""One iteration's data: the walk of a meta-learner's own number of inner steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import torch
from metarl_envs.tasks import Tasks, number_of_tasks
from torch import Tensor

from metarl.adaptation.walk import Visit, Walk
from metarl.math.parameters import Parameters
from metarl.math.returns import masked_mean
from metarl.policies.policy import AnyPolicy, TaskState, remembers
from metarl.rollouts.rollout import MetaBatch


class Collected(NamedTuple):
    """A meta-batch, diagnostics by name, and the environment steps it took.

    Args:
        returns: mean return of every task before each adaptation and after the last, [phase, task].
    """

    batch: MetaBatch
    metrics: dict[str, float]
    environment_steps: int
    returns: Tensor


def collect_meta_batch(walk: Walk, parameters: Parameters, tasks: Tasks, key: Sequence[int]) -> Collected:
    """Support rollouts of every inner step with fresh episodes, then the query rollout.

    Args:
        parameters: the meta-parameters, without a task axis.
        key: determines all randomness.
    """
    state, steps = walk.start(parameters, number_of_tasks(tasks)), walk.learner.inner_steps
    visits: list[Visit] = []
    inner_kl = 0.0
    for visit, adapted in walk.walk(state, tasks, key, steps):
        visits.append(visit)
        inner_kl += _kl(walk.learner.policy, adapted, visit) / steps
        state = adapted
    query = walk.visit(state, tasks, [*key, steps])
    batch = MetaBatch(tuple(visit.batch for visit in visits), query.batch)
    visits.append(query)
    environment_steps = sum(visit.rollout.environment_steps for visit in visits)
    metrics = {**_metrics(visits, environment_steps), "inner/kl": inner_kl}
    returns = torch.stack([visit.rollout.returns.mean(-1) for visit in visits])
    return Collected(batch, metrics, environment_steps, returns)


def _metrics(visits: Sequence[Visit], environment_steps: int) -> dict[str, float]:
    """Of all rollouts of an iteration; the last one is the query's."""
    query, seconds = visits[-1].rollout, Counter[str]()
    for visit in visits:
        seconds.update(visit.seconds)
    behaviour = query.behaviour
    return {
        "rollout/return_before": visits[0].rollout.returns.mean().item(),
        "rollout/return_after": query.returns.mean().item(),
        "rollout/diverged_episodes": float(sum(visit.rollout.diverged_episodes for visit in visits)),
        "policy/entropy": masked_mean(behaviour.entropy(), query.valid).item(),
        "policy/std": masked_mean(behaviour.std.mean(-1), query.valid).item(),
        "baseline/explained_variance": torch.stack([v.explained.mean() for v in visits]).mean().item(),
        **{f"time/{phase}_seconds": spent for phase, spent in seconds.items()},
        "time/environment_steps_per_second": environment_steps / seconds["sampling"],
    }


def _kl(policy: AnyPolicy, adapted: TaskState, visit: Visit) -> float:
    """How far an adaptation moved the policies: mean KL(behaviour || adapted); 0 of a memory's."""
    if remembers(policy):
        return 0.0
    with torch.no_grad():
        distribution = policy(adapted.parameters, visit.batch.observations)
        return masked_mean(visit.batch.behaviour.kl_divergence(distribution), visit.batch.valid).item()
