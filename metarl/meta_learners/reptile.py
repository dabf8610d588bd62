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
from metarl.meta_learners.gradient_learner import compose_problem
from metarl.meta_learners.inner.gradient_rules import gradient_rule
from metarl.meta_learners.inner.gradient_step import Data, InnerStep, inner_path
from metarl.meta_learners.inner.meta_gradient import MetaGradient
from metarl.meta_learners.learner import MetaLearner
from metarl.meta_learners.outer.clipped import (
    adam_ascent,
    adam_start,
    updates_done,
    why_wild,
)
from metarl.meta_learners.outer.outer_step import OuterProblem, OuterResult, OuterStep, SurrogateAndKl
from metarl.meta_learners.outer.schedule import (
    SCHEDULED,
    Shape,
    check_learning_rate,
    check_schedule,
    scheduled,
)
from metarl.meta_learners.settings import InnerSteps
from metarl.objectives.policy_gradient import inner_loss, mean_kl
from metarl.policies.policy import Policy
from metarl.rollouts.rollout import MetaBatch

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
        schedule: course of `outer_step_size` over `schedule_updates` updates: "constant", or to
            `final_outer_step_size` along a line ("linear", as Nichol et al. do) or half a cosine ("cosine").
        schedule_updates: updates after which it stays what it is.
        final_outer_step_size: the step size at the schedule's end.

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
    loss, kl = inner_loss(policy, config.inner_objective), mean_kl(policy)
    rule = gradient_rule(loss, config.step_size, first_order=lambda k: True)

    def problem_of(batch: MetaBatch) -> OuterProblem:
        data = (*batch.support, batch.query)

        def displacement(theta: Parameters) -> MetaGradient:
            return MetaGradient(mean_displacement(rule.step, theta, data, batch.tasks, task_map), 0.0)

        def distance(theta: Parameters) -> SurrogateAndKl:
            with torch.no_grad():
                apart = task_map(lambda episodes: kl(theta, episodes), data[0], tasks=batch.tasks)
            return SurrogateAndKl(0.0, task_map.mean(apart).item())

        return OuterProblem(displacement, distance)

    # The query batch feeds the last inner step.
    rollouts = int(config.inner_steps) - 1
    return compose_problem(policy, rollouts, rule, interpolation(config), problem_of)


def interpolation(config: ReptileConfig) -> OuterStep[Any]:
    """The outer step along the mean displacement, which stands in for a gradient."""
    by_adam, constant = config.outer == "adam", config.schedule == "constant"

    def init(parameters: Parameters) -> Any:
        if by_adam:
            return adam_start(parameters)
        return () if constant else ReptileState(torch.tensor(0.0))

    def moved_along(theta: Parameters, state: Any, displacement: Parameters) -> tuple[Parameters, Any]:
        if by_adam:
            return adam_ascent(theta, state, displacement, config.rate(updates_done(state, 1)))
        if constant:
            return add_scaled(theta, config.rate(0), displacement), state
        moved = add_scaled(theta, config.rate(int(state.updates)), displacement)
        return moved, ReptileState(state.updates + 1)

    def update(theta: Parameters, state: Any, problem: OuterProblem) -> OuterResult:
        displacement = problem.gradient(theta).gradient
        moved, after = moved_along(theta, state, displacement)
        judged = problem.evaluate(moved)
        rejection = why_wild(moved, judged, _OUTER_STEP_SIZE)
        metrics = {
            "displacement_norm": torch.linalg.vector_norm(flatten(displacement)).item(),
            "kl": 0.0 if rejection else judged.kl,
            "accepted": float(rejection is None),
        }
        if rejection:
            return OuterResult(theta, state, metrics, rejection)
        return OuterResult(moved, after, metrics, None)

    return OuterStep(init, update)


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
