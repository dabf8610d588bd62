"""ANIL (Raghu et al. 2020): only the last layer adapts; the body is learned by the outer step alone."""

from __future__ import annotations

from metarl.compute.task_map import TaskMap
from metarl.math.parameters import Parameters
from metarl.meta_learners.gradient_learner import GradientConfig, GradientLearner
from metarl.meta_learners.inner.gradient_step import inner_step
from metarl.objectives.policy_gradient import inner_loss
from metarl.policies.policy import Policy
from metarl.rollouts.rollout import Batch

HEAD = ("mean.weight", "mean.bias")


def anil(policy: Policy, config: GradientConfig, task_map: TaskMap) -> GradientLearner:
    """The meta-learner: theta'_head = theta_head - alpha grad_head L(theta; support), section 4."""
    loss = inner_loss(policy, config.inner_objective)

    def step(parameters: Parameters, batch: Batch, k: int, first_order: bool) -> Parameters:
        size = config.step_size(k)
        return inner_step(loss, parameters, batch, size, names=HEAD, first_order=first_order)

    return GradientLearner(policy, config, task_map, step)
