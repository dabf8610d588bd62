"""Meta-SGD (Li et al. 2017): the step size of every parameter is learned with it.

theta'_i = theta - alpha o grad L(theta; support_i)   (eq. 3), alpha of theta's shape
"""

from __future__ import annotations

import torch

from metarl.compute.task_map import TaskMap
from metarl.math.parameters import Parameters
from metarl.meta_learners.gradient_learner import GradientConfig, GradientLearner
from metarl.meta_learners.inner.gradient_step import inner_step
from metarl.meta_learners.learner import STEP_SIZE, without_step_sizes
from metarl.objectives.policy_gradient import inner_loss
from metarl.policies.policy import Policy
from metarl.rollouts.rollout import Batch


def meta_sgd(policy: Policy, config: GradientConfig, task_map: TaskMap) -> GradientLearner:
    """The meta-learner; all step sizes start at `inner_step_size`."""
    loss = inner_loss(policy, config.inner_objective)

    def step(parameters: Parameters, batch: Batch, k: int, first_order: bool) -> Parameters:
        scale = config.step_size(k) / config.step_size(0)
        sizes = {name: scale * parameters[STEP_SIZE + name] for name in without_step_sizes(parameters)}
        return inner_step(loss, parameters, batch, sizes, names=sizes, first_order=first_order)

    def extra(parameters: Parameters) -> Parameters:
        start = config.step_size(0)
        return {STEP_SIZE + name: start * torch.ones_like(value) for name, value in parameters.items()}

    return GradientLearner(policy, config, task_map, step, extra=extra)
