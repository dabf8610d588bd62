"""ANIL (Raghu et al. 2020): only the last layer adapts; the body is learned by the outer step alone.

theta'_head = theta_head - alpha grad_head L(theta; support)   (section 4)
J(theta)    = mean_i surrogate(theta'_i(theta); query_i)
"""

from __future__ import annotations

import torch

from metarl.compute.task_map import TaskMap
from metarl.errors import ConfigError
from metarl.meta_learners.gradient_learner import gradient_learner
from metarl.meta_learners.inner.gradient_rules import gradient_rule
from metarl.meta_learners.inner.rule import InnerRule
from metarl.meta_learners.learner import MetaLearner
from metarl.meta_learners.settings import DifferentiatedSteps, GradientConfig
from metarl.objectives.policy_gradient import inner_loss
from metarl.policies.policy import Policy
from metarl.rollouts.rollout import Batch

HEAD = ("mean.weight", "mean.bias")


def anil(policy: Policy, config: GradientConfig, task_map: TaskMap) -> MetaLearner:
    """The meta-learner theta'_head = theta_head - alpha grad_head L(theta; support)."""
    return gradient_learner(policy, config, int(config.inner_steps), head_rule(policy, config), task_map)


def head_rule(policy: Policy, config: DifferentiatedSteps) -> InnerRule[Batch]:
    """theta'_head = theta_head - alpha grad_head L(theta; support).

    Raises:
        ConfigError: a policy without such a layer.
    """
    own = policy.initial_parameters(torch.Generator())
    if missing := [name for name in HEAD if name not in own]:
        kind = type(policy).__name__
        raise ConfigError(f"meta_learner.name: anil expected a policy with {missing[0]}, got {kind}")
    return gradient_rule(
        inner_loss(policy, config.inner_objective),
        config.step_size,
        names=HEAD,
        first_order=config.is_first_order,
        recompute=config.recompute,
    )
