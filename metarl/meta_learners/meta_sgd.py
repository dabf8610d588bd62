"""Meta-SGD (Li et al. 2017): the step size of every parameter is learned with it.

theta'_i = theta - alpha o grad L(theta; support_i)   (eq. 3), alpha of theta's shape
J(theta, alpha) = mean_i surrogate(theta'_i; query_i)
"""

from __future__ import annotations

from metarl.compute.task_map import TaskMap
from metarl.meta_learners.gradient_learner import gradient_learner
from metarl.meta_learners.inner.gradient_rules import learned_sizes
from metarl.meta_learners.inner.rule import InnerRule
from metarl.meta_learners.learner import MetaLearner
from metarl.meta_learners.settings import DifferentiatedSteps, GradientConfig
from metarl.objectives.policy_gradient import inner_loss
from metarl.policies.policy import Policy
from metarl.rollouts.rollout import Batch


def meta_sgd(policy: Policy, config: GradientConfig, task_map: TaskMap) -> MetaLearner:
    """The meta-learner theta' = theta - alpha o grad L(theta; support); alpha starts at `inner_step_size`."""
    return gradient_learner(policy, config, int(config.inner_steps), sizes_rule(policy, config), task_map)


def sizes_rule(policy: Policy, config: DifferentiatedSteps) -> InnerRule[Batch]:
    """theta' = theta - alpha o grad L(theta; support), alpha a parameter."""
    return learned_sizes(
        inner_loss(policy, config.inner_objective),
        config.step_size,
        first_order=config.is_first_order,
        recompute=config.recompute,
    )
