"""MAML (Finn et al. 2017, algorithm 3); first-order MAML with `first_order` (section 5.2).

theta'_i = theta - alpha grad L(theta; support_i), K times on fresh episodes
J(theta) = mean_i surrogate(theta'_i(theta); query_i)
"""

from __future__ import annotations

from metarl.compute.task_map import TaskMap
from metarl.meta_learners.gradient_learner import gradient_learner
from metarl.meta_learners.inner.gradient_rules import gradient_rule
from metarl.meta_learners.inner.rule import InnerRule, PlainSteps
from metarl.meta_learners.learner import MetaLearner
from metarl.meta_learners.settings import DifferentiatedSteps, GradientConfig
from metarl.objectives.policy_gradient import inner_loss
from metarl.policies.policy import Policy
from metarl.rollouts.rollout import Batch


def maml(policy: Policy, config: GradientConfig, task_map: TaskMap) -> MetaLearner:
    """The meta-learner theta <- theta + outer step on mean_i surrogate(theta - alpha grad L_i; query_i)."""
    return gradient_learner(policy, config, int(config.inner_steps), plain_rule(policy, config), task_map)


def plain_rule(policy: Policy, config: DifferentiatedSteps) -> InnerRule[Batch]:
    """theta' = theta - alpha grad L(theta; support): all parameters move, by one step size."""
    loss = inner_loss(policy, config.inner_objective)
    plain = PlainSteps(config.inner_objective, loss, config.step_sizes, config.first_order)
    return gradient_rule(
        loss,
        config.step_size,
        first_order=config.is_first_order,
        recompute=config.recompute,
        plain=plain if config.differentiated_steps is None else None,
    )
