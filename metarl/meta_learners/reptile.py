"""Reptile (Nichol et al. 2018), for policies: move towards the adapted parameters.

theta^K_i = theta after K inner steps on task i
theta    <- theta + beta mean_i (theta^K_i - theta)   (algorithm 2)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from jsonargparse.typing import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor

from metarl.compute.task_map import TaskMap
from metarl.errors import NonFiniteError
from metarl.math.parameters import Parameters, add_scaled, first_not_finite, flatten
from metarl.meta_learners.inner.gradient_rules import gradient_rule
from metarl.meta_learners.inner.gradient_step import Data, InnerStep, inner_path
from metarl.meta_learners.learner import LearnerState, MetaLearner, Update
from metarl.meta_learners.outer.clipped import (
    adam_ascent,
    adam_start,
    check_learning_rate,
    updates_done,
    why_wild,
)
from metarl.meta_learners.outer.outer_step import SurrogateAndKl
from metarl.meta_learners.outer.schedule import SCHEDULED, Shape, check_schedule, scheduled
from metarl.meta_learners.settings import InnerSteps
from metarl.objectives.policy_gradient import inner_loss, mean_kl
from metarl.policies.policy import Policy, TaskState
from metarl.rollouts.rollout import Batch, MetaBatch

_OUTER_STEP_SIZE = "meta_learner.outer_step_size"


@dataclass(frozen=True)
class ReptileConfig(InnerSteps):
    """Reptile.

    Args:
        inner_steps: K; all of a task's episodes are used for inner steps, the last ones too. The logged
            `rollout/return_after` is therefore that after K - 1 steps; with K = 1 there is one rollout,
            before and after are the same, and an evaluation tells what adaptation gains.
        outer: "sgd" is the interpolation above; "adam" takes mean_i (theta - theta^K_i) as a gradient.
        outer_step_size: beta, or Adam's learning rate.
        schedule: of `outer_step_size` over `schedule_updates` updates: "constant", or to
            `final_outer_step_size` along a line ("linear", as Nichol et al. do) or half a cosine ("cosine").
        schedule_updates: updates after which it stays what it is.
        final_outer_step_size: at the schedule's end.

    Raises:
        ValueError: a schedule without updates, updates without a schedule, or a step size that Adam cannot
            take.
    """

    inner_steps: PositiveInt = 3
    outer: Literal["sgd", "adam"] = "sgd"
    outer_step_size: PositiveFloat = 1.0
    schedule: Shape = "constant"
    schedule_updates: NonNegativeInt = 0
    final_outer_step_size: NonNegativeFloat = 0.0

    read_with: ClassVar[dict[str, Any]] = dict.fromkeys(
        ("schedule_updates", "final_outer_step_size"), SCHEDULED
    )

    def __post_init__(self) -> None:
        if self.outer == "adam":
            check_learning_rate(_OUTER_STEP_SIZE, float(self.outer_step_size))
        check_schedule(self.schedule, int(self.schedule_updates), "meta_learner.schedule_updates")

    def rate(self, updates: int) -> float:
        """The outer step size after so many updates."""
        start, end = float(self.outer_step_size), float(self.final_outer_step_size)
        return scheduled(self.schedule, start, end, int(self.schedule_updates), updates)


class ReptileState(NamedTuple):
    """How many scheduled updates are done, [] float32."""

    updates: Tensor


def reptile(policy: Policy, config: ReptileConfig, task_map: TaskMap) -> MetaLearner:
    """The meta-learner theta <- theta + beta mean_i (theta^K_i - theta).

    Nothing is differentiated twice: memory does not grow with K.
    """
    by_adam, constant = config.outer == "adam", config.schedule == "constant"
    loss, kl = inner_loss(policy, config.inner_objective), mean_kl(policy)
    rule = gradient_rule(loss, config.step_size, first_order=lambda k: True)

    def start(parameters: Parameters) -> LearnerState:
        if by_adam:
            return LearnerState(parameters, adam_start(parameters))
        return LearnerState(parameters, () if constant else ReptileState(torch.tensor(0.0)))

    def adapt(state: TaskState, episodes: Batch) -> TaskState:
        adapted = rule.step(state.parameters, episodes, state.adaptations)
        return TaskState(adapted, state.carry, state.adaptations + 1)

    def update(state: LearnerState, batch: MetaBatch) -> Update:
        theta = state.parameters
        mean = mean_displacement(rule.step, theta, (*batch.support, batch.query), batch.tasks, task_map)
        moved = moved_along(state, mean)
        first = (*batch.support, batch.query)[0]
        with torch.no_grad():
            apart = task_map(lambda data: kl(moved.parameters, data), first, tasks=batch.tasks)
        distance = task_map.mean(apart).item()
        rejection = why_wild(moved.parameters, SurrogateAndKl(0.0, distance), _OUTER_STEP_SIZE)
        metrics = {
            "displacement_norm": torch.linalg.vector_norm(flatten(mean)).item(),
            "kl": 0.0 if rejection else distance,
            "accepted": float(rejection is None),
        }
        return Update(state if rejection else moved, metrics, rejection)

    def moved_along(state: LearnerState, displacement: Parameters) -> LearnerState:
        theta, optimiser = state.parameters, state.optimiser
        if by_adam:
            rate = config.rate(updates_done(optimiser, 1))
            return LearnerState(*adam_ascent(theta, optimiser, displacement, rate))
        if constant:
            return LearnerState(add_scaled(theta, config.rate(0), displacement))
        moved = add_scaled(theta, config.rate(int(optimiser.updates)), displacement)
        return LearnerState(moved, ReptileState(optimiser.updates + 1))

    # The query batch feeds the last inner step.
    rollouts = int(config.inner_steps) - 1
    return MetaLearner(policy, rollouts, policy.initial_parameters, start, adapt, update, config.step_size)


def mean_displacement(
    step: InnerStep[Data], theta: Parameters, data: Sequence[Any], tasks: int, task_map: TaskMap
) -> Parameters:
    """mean_i (theta^K_i - theta), K inner steps on the data of each, tensors [task, ...].

    Raises:
        NonFiniteError: a task's adapted parameters are not finite.
    """

    def displacement(of_task: Sequence[Data]) -> Parameters:
        adapted = inner_path(step, theta, of_task)[-1]
        return {name: adapted[name] - theta[name] for name in theta}

    with torch.no_grad():
        moves = task_map(displacement, tuple(data), tasks=tasks)
    if fault := first_not_finite(moves):
        raise NonFiniteError(f"adapted parameters {fault[0]}", fault[1], of_learner=True)
    mean: Parameters = task_map.mean(moves)
    return mean
