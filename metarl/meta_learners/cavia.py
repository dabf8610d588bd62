"""CAVIA (Zintgraf et al. 2019, algorithm 2): only a context vector adapts, the weights never do.

phi_i  = phi_0 - alpha grad_phi L(theta, phi_0; support_i)   (eq. 5)
theta <- an outer step on mean_i surrogate(theta, phi_i; query_i)

The paper keeps phi_0 at zero. Here it is a parameter like any other that starts there: it enters the
first layer as a bias does, so that learning it adds nothing that the weights could not say.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jsonargparse.typing import PositiveFloat, PositiveInt

from metarl.compute.task_map import TaskMap
from metarl.meta_learners.gradient_learner import gradient_learner
from metarl.meta_learners.inner.gradient_rules import gradient_rule
from metarl.meta_learners.inner.rule import InnerRule
from metarl.meta_learners.learner import MetaLearner
from metarl.meta_learners.settings import DifferentiatedSteps, GradientConfig
from metarl.objectives.policy_gradient import inner_loss
from metarl.policies.context import CONTEXT, ContextPolicy
from metarl.policies.gaussian_mlp import GaussianMLP
from metarl.rollouts.rollout import Batch


@dataclass(frozen=True)
class CaviaConfig(GradientConfig):
    """CAVIA.

    Args:
        inner_step_size: alpha, of the context.
        context_size: numbers in the context vector.
    """

    inner_step_size: PositiveFloat = 1.0
    context_size: PositiveInt = 5


def cavia(policy: GaussianMLP, config: CaviaConfig, task_map: TaskMap) -> MetaLearner:
    """The meta-learner phi_i = phi_0 - alpha grad_phi L(theta, phi_0; support_i), whose policy sees phi."""
    size = int(config.context_size)
    seeing = ContextPolicy(replace(policy, observation_size=policy.observation_size + size), size)
    return gradient_learner(seeing, config, int(config.inner_steps), context_rule(seeing, config), task_map)


def context_rule(policy: ContextPolicy, config: DifferentiatedSteps) -> InnerRule[Batch]:
    """phi' = phi - alpha grad_phi L(theta, phi; support)."""
    return gradient_rule(
        inner_loss(policy, config.inner_objective),
        config.step_size,
        names=(CONTEXT,),
        first_order=config.is_first_order,
        recompute=config.recompute,
        entries=lambda parameters: {CONTEXT: torch.zeros(policy.context_size)},
    )
