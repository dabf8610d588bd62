"""MAML (Finn et al. 2017, algorithm 3); first-order MAML with `first_order` (section 5.2).

theta'_i = theta - alpha grad L(theta; support_i), K times on fresh episodes
J(theta) = mean_i surrogate(theta'_i(theta); query_i)

With `learn_step_size`, J is climbed in (theta, log alpha).
"""

from __future__ import annotations

from dataclasses import dataclass

from metarl.compute.task_map import TaskMap
from metarl.meta_learners.gradient_learner import gradient_learner
from metarl.meta_learners.inner.gradient_rules import LOG_STEP_SIZE, gradient_rule, learned_size
from metarl.meta_learners.inner.rule import InnerRule, PlainSteps
from metarl.meta_learners.learner import MetaLearner
from metarl.meta_learners.settings import DifferentiatedSteps, GradientConfig, LearnableStep
from metarl.objectives.policy_gradient import inner_loss
from metarl.policies.policy import Policy
from metarl.rollouts.rollout import Batch


@dataclass(frozen=True)
class MamlConfig(GradientConfig, LearnableStep):
    """MAML."""


def maml(policy: Policy, config: MamlConfig, task_map: TaskMap) -> MetaLearner:
    """The meta-learner theta <- theta + outer step on mean_i surrogate(theta - alpha grad L_i; query_i)."""
    return gradient_learner(policy, config, int(config.inner_steps), maml_rule(policy, config), task_map)


def maml_rule(policy: Policy, config: DifferentiatedSteps) -> InnerRule[Batch]:
    """theta' = theta - alpha grad L(theta; support), alpha fixed or, by a `LearnableStep`, learned."""
    if not (isinstance(config, LearnableStep) and config.learn_step_size):
        return plain_rule(policy, config)
    loss, known = inner_loss(policy, config.inner_objective), plain_steps(policy, config)
    return learned_size(
        loss,
        config.step_size,
        first_order=config.is_first_order,
        recompute=config.recompute,
        plain=known and known._replace(log_size=LOG_STEP_SIZE),
    )


def plain_rule(policy: Policy, config: DifferentiatedSteps) -> InnerRule[Batch]:
    """theta' = theta - alpha grad L(theta; support): all parameters move, by one step size."""
    return gradient_rule(
        inner_loss(policy, config.inner_objective),
        config.step_size,
        first_order=config.is_first_order,
        recompute=config.recompute,
        plain=plain_steps(policy, config),
    )


def plain_steps(policy: Policy, config: DifferentiatedSteps) -> PlainSteps | None:
    """What a hand-derived curvature takes; None where some of several steps are not differentiated."""
    first_order = {config.is_first_order(step) for step in range(config.inner_steps)}
    if len(first_order) > 1:
        return None
    loss = inner_loss(policy, config.inner_objective)
    return PlainSteps(config.inner_objective, loss, config.step_sizes, first_order.pop())
