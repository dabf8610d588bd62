"""The meta-learner of an inner rule, a gain and an outer step.

theta^{k+1}_i = rule.step(theta^k_i; support^k_i)
J(theta)      = mean_i gain(theta^0_i, ..., theta^K_i; support_i, query_i)
theta        <- outer.update(theta) up J: a trust region (TRPO), or Adam on clipped ratios (PPO)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from metarl.compute.task_map import TaskMap
from metarl.math.parameters import Parameters
from metarl.meta_learners.gains import final_gain
from metarl.meta_learners.inner.gradient_step import inner_path
from metarl.meta_learners.inner.meta_gradient import Gain
from metarl.meta_learners.inner.rule import InnerRule
from metarl.meta_learners.learner import LearnerState, MetaLearner, Update, learned_metrics
from metarl.meta_learners.outer.clipped import ClippedConfig, clipped_ascent
from metarl.meta_learners.outer.curvature import curvature_product, drawn_tasks
from metarl.meta_learners.outer.outer_step import OuterProblem, OuterStep, SurrogateAndKl
from metarl.meta_learners.outer.trust_region import trust_region
from metarl.meta_learners.settings import OuterChoice
from metarl.objectives.policy_gradient import PolicyObjective, clipped_surrogate, mean_kl, surrogate
from metarl.policies.policy import Policy, TaskState
from metarl.rollouts.rollout import Batch, MetaBatch

GainOf = Callable[[PolicyObjective], Gain[Batch]]
"""A surrogate, clipped or not -> an algorithm's gain."""


def compose(
    policy: Policy,
    inner_steps: int,
    rule: InnerRule[Batch],
    gain: Gain[Batch],
    outer: OuterStep[Any],
    task_map: TaskMap,
    *,
    judge: Gain[Batch] | None = None,
) -> MetaLearner:
    """The meta-learner of an inner rule, a gain and an outer step.

    Args:
        inner_steps: K, adaptations between the rollouts of an iteration.
        gain: whose mean over tasks the outer step climbs.
        judge: the gain by which its steps are judged, where that is another (unclipped) one.
    """

    def problem_of(batch: MetaBatch) -> OuterProblem:
        return OuterProblem(
            lambda theta: rule.gradient(theta, batch, gain, task_map),
            lambda theta: evaluate(policy, rule, judge or gain, theta, batch, task_map),
            lambda theta, tasks: curvature_product(
                policy, rule, theta, drawn_tasks(batch, tasks, task_map), task_map
            ),
        )

    return compose_problem(policy, inner_steps, rule, outer, problem_of)


def compose_problem(
    policy: Policy,
    inner_steps: int,
    rule: InnerRule[Batch],
    outer: OuterStep[Any],
    problem_of: Callable[[MetaBatch], OuterProblem],
) -> MetaLearner:
    """The meta-learner of an inner rule, and an outer step on a problem that a meta-batch poses.

    Args:
        inner_steps: K, adaptations between the rollouts of an iteration.
    """

    def initial_parameters(generator: torch.Generator) -> Parameters:
        own = policy.initial_parameters(generator)
        return {**own, **rule.entries(own)}

    def start(parameters: Parameters) -> LearnerState:
        return LearnerState(parameters, outer.init(parameters))

    def adapt(state: TaskState, episodes: Batch) -> TaskState:
        adapted = rule.step(state.parameters, episodes, state.adaptations)
        return TaskState(adapted, state.carry, state.adaptations + 1)

    def update(state: LearnerState, batch: MetaBatch) -> Update:
        result = outer.update(state.parameters, state.optimiser, problem_of(batch))
        learned = rule.entries(policy.initial_parameters(torch.Generator()))
        metrics = {**result.metrics, **learned_metrics(result.parameters, learned)}
        return Update(LearnerState(result.parameters, result.state), metrics, result.rejection)

    return MetaLearner(policy, inner_steps, initial_parameters, start, adapt, update, rule.size)


def gradient_learner(
    policy: Policy,
    config: OuterChoice,
    inner_steps: int,
    rule: InnerRule[Batch],
    task_map: TaskMap,
    gain_of: GainOf = final_gain,
) -> MetaLearner:
    """The learner with the outer step that its config chooses; with "ppo" it climbs clipped ratios."""
    if config.outer == "ppo":
        return clipped_learner(policy, config.clipped, inner_steps, rule, task_map, gain_of)
    gain = gain_of(surrogate(policy))
    return compose(policy, inner_steps, rule, gain, trust_region(config.trust_region), task_map)


def clipped_learner(
    policy: Policy,
    config: ClippedConfig,
    inner_steps: int,
    rule: InnerRule[Batch],
    task_map: TaskMap,
    gain_of: GainOf = final_gain,
) -> MetaLearner:
    """The learner that climbs clipped ratios by Adam."""
    gain, judge = gain_of(clipped_surrogate(policy, float(config.clip))), gain_of(surrogate(policy))
    outer = clipped_ascent(config, rule.paces)
    return compose(policy, inner_steps, rule, gain, outer, task_map, judge=judge)


def evaluate(
    policy: Policy,
    rule: InnerRule[Batch],
    gain: Gain[Batch],
    parameters: Parameters,
    batch: MetaBatch,
    task_map: TaskMap,
) -> SurrogateAndKl:
    """The tasks' mean gain, and mean KL of the adapted policies, at any meta-parameters."""
    kl = mean_kl(policy)

    def measure(support: Sequence[Batch], query: Batch) -> tuple[Tensor, Tensor]:
        path = inner_path(rule.step, parameters, support)
        return gain(path, support, query), kl(path[-1], query)

    with torch.no_grad():
        surrogate_gain, divergence = task_map.mean(task_map(measure, *batch, tasks=batch.tasks))
    return SurrogateAndKl(surrogate_gain.item(), divergence.item())
