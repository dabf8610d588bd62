"""MAML (Finn et al. 2017, algorithm 3); first-order MAML with `first_order` (section 5.2).

theta'_i = theta - alpha grad L(theta; support_i), K times on fresh episodes
J(theta) = mean_i surrogate(theta'_i(theta); query_i)
"""

from __future__ import annotations

from metarl.compute.task_map import TaskMap
from metarl.math.parameters import Parameters
from metarl.meta_learners.gradient_learner import Curvature, GradientConfig, GradientLearner, Step
from metarl.meta_learners.inner.gradient_step import inner_step
from metarl.meta_learners.outer.curvature import CurvatureProduct
from metarl.meta_learners.outer.mlp_curvature import InnerRule, mlp_curvature_product
from metarl.objectives.policy_gradient import inner_loss
from metarl.policies.gaussian_mlp import GaussianMLP
from metarl.policies.policy import Policy
from metarl.rollouts.rollout import Batch, MetaBatch


def maml(policy: Policy, config: GradientConfig, task_map: TaskMap) -> GradientLearner:
    """The meta-learner."""
    step, curvature = gradient_step(policy, config), quick_curvature(policy, config, task_map)
    return GradientLearner(policy, config, task_map, step, cpu_curvature=curvature)


def gradient_step(policy: Policy, config: GradientConfig) -> Step:
    """All parameters move, by one step size."""
    loss = inner_loss(policy, config.inner_objective)

    def step(parameters: Parameters, batch: Batch, k: int, first_order: bool) -> Parameters:
        return inner_step(loss, parameters, batch, config.step_size(k), first_order=first_order)

    return step


def quick_curvature(policy: Policy, config: GradientConfig, task_map: TaskMap) -> Curvature | None:
    """The hand-derived product, where it applies: the Gaussian MLP, on a CPU, through `gradient_step`.

    A subclass may compute something else, which the product would not know.
    """
    if type(policy) is not GaussianMLP or config.differentiated_steps is not None:
        return None
    loss = inner_loss(policy, config.inner_objective)
    rule = InnerRule(config.inner_objective, loss, config.step_sizes, config.first_order)

    def curvature(parameters: Parameters, batch: MetaBatch) -> CurvatureProduct:
        return mlp_curvature_product(policy, rule, parameters, batch, task_map)

    return curvature
