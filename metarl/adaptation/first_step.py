"""An inner step size that is found before training: that of a first step of a chosen KL."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from metarl_envs.tasks import Tasks, number_of_tasks

from metarl.adaptation.meta_batch import moved_by
from metarl.adaptation.walk import Walk
from metarl.math.parameters import Parameters, add_scaled, difference
from metarl.objectives.policy_gradient import memoryless
from metarl.rollouts.rollout import Batch

_FACTOR, _WIDEST, _HALVINGS = 4.0, 12, 12


class FoundStep(NamedTuple):
    """How many times the learner's own step has the KL, and the environment steps that finding it took."""

    factor: float
    environment_steps: int


def find_first_step(
    walk: Walk, parameters: Parameters, tasks: Tasks, key: Sequence[int], kl: float
) -> FoundStep:
    """By how much to lengthen a learner's first inner step for it to change the policies by a KL.

    The direction is found once; its length is bisected on the same episodes. Tasks without one, as those
    that were paid nothing, do not count: with sparse rewards few others would have to make up for them.

    Args:
        parameters: the meta-parameters, without a task axis.
        key: determines the episodes.
        kl: mean KL(behaviour || adapted) over the steps of all tasks whose policies move, nats.

    Raises:
        ConfigError: the policy remembers.
        NonFiniteError: a task's adapted parameters are not finite.
    """
    policy = memoryless(walk.learner.policy)
    start = walk.start(parameters, number_of_tasks(tasks))
    visit = walk.visit(start, tasks, key)
    step = difference(walk.adapt(visit.state, visit.batch).parameters, start.parameters)
    visit = visit._replace(batch=_of_moved_tasks(visit.batch, step))

    def divergence(factor: float) -> float:
        moved = {**start.parameters, **add_scaled({n: start.parameters[n] for n in step}, factor, step)}
        return moved_by(policy, start._replace(parameters=moved), visit, walk.task_map)

    taken = walk.task_map.reduction.total(torch.tensor(visit.rollout.environment_steps))
    return FoundStep(factor_of_kl(divergence, kl), int(taken))


def _of_moved_tasks(batch: Batch, step: Parameters) -> Batch:
    moved = torch.stack([values.reshape(len(values), -1).ne(0).any(1) for values in step.values()]).any(0)
    return batch._replace(valid=batch.valid & moved[:, None, None])


def factor_of_kl(divergence: Callable[[float], float], kl: float) -> float:
    """The factor whose divergence is `kl`, to a thousandth of its logarithm; 1 where none is near.

    Args:
        divergence: grows with the factor; what is not finite counts as too large.
    """
    low = high = 1.0
    for _ in range(_WIDEST):
        if divergence(low) <= kl:
            break
        low /= _FACTOR
    for _ in range(_WIDEST):
        if not divergence(high) <= kl:
            break
        high *= _FACTOR
    if not divergence(low) <= kl or divergence(high) <= kl:
        return 1.0
    for _ in range(_HALVINGS):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if divergence(middle) <= kl else (low, middle)
    return low
