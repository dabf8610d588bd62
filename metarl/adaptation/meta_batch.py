"""One iteration's data: the walk of a meta-learner's own number of inner steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import torch
from metarl_envs.tasks import Tasks, number_of_tasks
from torch import Tensor
from torch.utils._pytree import tree_map

from metarl.adaptation.walk import Visit, Walk
from metarl.compute.pieces import in_pieces
from metarl.compute.reduction import Reduction
from metarl.compute.task_map import TaskMap
from metarl.errors import NonFiniteError
from metarl.math.directions import mean_cosine, unit_vectors
from metarl.math.parameters import Parameters, difference
from metarl.meta_learners.learner import MetaLearner
from metarl.policies.policy import Policy, TaskState, remembers
from metarl.rollouts.rollout import Batch, MetaBatch

_JUDGED_TASKS = 2
"""Of the cosine that takes a further adaptation."""


class Collected(NamedTuple):
    """A meta-batch, diagnostics by name, and the environment steps it took.

    Args:
        returns: mean return of every rank's every task before each adaptation and after the last,
            [phase, task].
    """

    batch: MetaBatch
    metrics: dict[str, float]
    environment_steps: int
    returns: Tensor


def collect_meta_batch(walk: Walk, parameters: Parameters, tasks: Tasks, key: Sequence[int]) -> Collected:
    """Support rollouts of every inner step with fresh episodes, then the query rollout.

    The batch is of the given tasks; diagnostics, steps and returns are of those of all ranks.

    Args:
        parameters: the meta-parameters, without a task axis.
        key: determines all randomness.
    """
    state, steps = walk.start(parameters, number_of_tasks(tasks)), walk.learner.inner_steps
    reduction = walk.task_map.reduction
    visits: list[Visit] = []
    inner: list[dict[str, float]] = []
    first_move: Parameters = {}
    for step, (visit, adapted) in enumerate(walk.walk(state, tasks, key, steps)):
        visits.append(visit)
        move = difference(adapted.parameters, state.parameters)
        first_move = first_move or move
        if not remembers(walk.learner.policy):
            moved = _lengths(walk.learner, move, step, reduction)
            inner.append({"inner/kl": moved_by(walk.learner.policy, adapted, visit, walk.task_map), **moved})
        state = adapted
    query = walk.visit(state, tasks, [*key, steps])
    batch = MetaBatch(tuple(visit.batch for visit in visits), query.batch)
    visits.append(query)
    environment_steps = _total(reduction, sum(visit.rollout.environment_steps for visit in visits))
    metrics = {**_metrics(visits, environment_steps, walk.task_map), **_mean_of_steps(inner)}
    if first_move and not remembers(walk.learner.policy):
        metrics |= _support_query_cosine(walk, first_move, query)
    returns = torch.stack([reduction.gather(visit.rollout.returns.mean(-1)) for visit in visits])
    return Collected(batch, metrics, environment_steps, returns)


def _metrics(visits: Sequence[Visit], environment_steps: int, task_map: TaskMap) -> dict[str, float]:
    """Of all rollouts of an iteration; the last one is the query's."""
    query, seconds, reduction = visits[-1].rollout, Counter[str](), task_map.reduction
    for visit in visits:
        seconds.update(visit.seconds)
    behaviour = query.behaviour
    diverged = _total(reduction, sum(visit.rollout.diverged_episodes for visit in visits))
    return {
        **_returns(visits, reduction),
        "rollout/steps_per_episode": reduction.gather(query.valid.sum(-1)).double().mean().item(),
        **_success(visits, reduction),
        "rollout/diverged_episodes": float(diverged),
        "policy/entropy": task_map.masked_mean(behaviour.entropy(), query.valid).item(),
        "policy/std": task_map.masked_mean(behaviour.std.mean(-1), query.valid).item(),
        **_explained(visits, reduction),
        **{f"time/{phase}_seconds": spent for phase, spent in seconds.items()},
        "time/environment_steps_per_second": environment_steps / seconds["sampling"],
    }


def _total(reduction: Reduction, count: int) -> int:
    return int(reduction.total(torch.tensor(count)))


def _returns(visits: Sequence[Visit], reduction: Reduction) -> dict[str, float]:
    """The mean return before and after adaptation; of trials, that of their first and last episodes."""
    first, last = visits[0].rollout, visits[-1].rollout
    before, after = reduction.gather(first.returns), reduction.gather(last.returns)
    if last.carry:
        before, after = before[:, 0], after[:, -1]
    return {"rollout/return_before": before.mean().item(), "rollout/return_after": after.mean().item()}


def _explained(visits: Sequence[Visit], reduction: Reduction) -> dict[str, float]:
    """What baselines explain, where there are any."""
    found = [reduction.gather(visit.explained).mean() for visit in visits if visit.explained is not None]
    return {"baseline/explained_variance": torch.stack(found).mean().item()} if found else {}


def _success(visits: Sequence[Visit], reduction: Reduction) -> dict[str, float]:
    """The share of episodes with success before and after adaptation, of environments that tell."""
    ends = {"before": visits[0].rollout.success, "after": visits[-1].rollout.success}
    return {
        f"rollout/success_{name}": reduction.gather(found).double().mean().item()
        for name, found in ends.items()
        if found is not None
    }


def _mean_of_steps(found: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of every diagnostic over the inner steps that have it."""
    values = {name: [one[name] for one in found if name in one] for step in found for name in step}
    return {name: sum(steps) / len(steps) for name, steps in values.items()}


def _support_query_cosine(walk: Walk, support: Parameters, query: Visit) -> dict[str, float]:
    """The cosine between the first inner step and the one that the query's episodes ask for, of a few tasks.

    The latter is never taken. A step of length zero, or one that is not finite, has no direction.

    Args:
        support: how far the first inner step moved the parameters, [task, ...].
    """
    few = slice(_JUDGED_TASKS)
    parameters = {name: values[few] for name, values in query.state.parameters.items()}
    state = query.state._replace(parameters=parameters)
    try:
        asked = walk.adapt(state, tree_map(lambda values: values[few], query.batch))
    except NonFiniteError:
        return {}
    moved = [name for name, values in support.items() if values.any()]
    if not moved:
        return {}
    further = difference(asked.parameters, parameters)
    first, other = (unit_vectors({name: of[name][few] for name in moved}) for of in (support, further))
    both = first.any(1) & other.any(1)
    cosines = (first * other).sum(1)[both]
    return {"inner/support_query_cosine": cosines.mean().item()} if len(cosines) else {}


def _lengths(learner: MetaLearner, moves: Parameters, step: int, reduction: Reduction) -> dict[str, float]:
    """How far an inner step moved the tasks' parameters [task, ...], and whether all the same way."""
    units = unit_vectors(moves)
    length = torch.stack([value.square().reshape(len(value), -1).sum(1) for value in moves.values()])
    lengths = reduction.gather(length.sum(0).sqrt())
    found = {"inner/step_norm": lengths.mean().item()}
    if learner.inner_step_size is not None:
        found["inner/gradient_norm"] = found["inner/step_norm"] / learner.inner_step_size(step)
    cosine = mean_cosine(reduction.mean(units), reduction.gather(units.norm(dim=1)))
    return found if cosine is None else {**found, "inner/task_cosine": cosine}


def moved_by(policy: Policy, adapted: TaskState, visit: Visit, task_map: TaskMap) -> float:
    """How far an adaptation moved the policies: mean KL(behaviour || adapted), nats."""

    def divergence_of(parameters: Parameters, batch: Batch) -> Tensor:
        return batch.behaviour.kl_divergence(policy(parameters, batch.observations))

    with torch.no_grad():
        divergence = in_pieces(divergence_of, adapted.parameters, visit.batch)
        return task_map.masked_mean(divergence, visit.batch.valid).item()
