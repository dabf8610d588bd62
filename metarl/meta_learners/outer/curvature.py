"""The curvature of the mean KL through the adaptation: mean_i J_i' F_i J_i, as a product.

J_i is the Jacobian of task i's adapted parameters in the meta-parameters, F_i the Fisher matrix of
the adapted policy on task i's query batch. This is the exact Hessian of the mean KL at the current
parameters, since the KL's first derivative is zero there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from metarl.compute.task_map import TaskMap
from metarl.math.parameters import Parameters, flatten, unflatten
from metarl.math.returns import without_padding
from metarl.meta_learners.inner.rule import InnerRule
from metarl.meta_learners.outer.mlp_curvature import mlp_curvature_product
from metarl.meta_learners.outer.outer_step import CurvatureProduct
from metarl.policies.gaussian_mlp import GaussianMLP
from metarl.policies.policy import Policy
from metarl.rollouts.rollout import Batch, MetaBatch, seeds_of

AdaptTask = Callable[[Parameters, Any], Parameters]
"""(meta-parameters, one task's support) -> adapted parameters."""


def drawn_tasks(batch: MetaBatch, tasks: int | None, task_map: TaskMap) -> MetaBatch:
    """This rank's part of so many of all ranks' tasks, drawn by their seeds; all if None or too few.

    Whole tasks: fewer episodes of each would add to the noise of the inner Hessians, and J'FJ has its square.

    Raises:
        ValueError: the batch is of no sampler for training.
    """
    if tasks is None:
        return batch
    seeds = task_map.all_tasks(seeds_of(batch.query))
    drawn = torch.zeros_like(seeds, dtype=torch.bool).scatter(0, seeds.argsort(stable=True)[:tasks], True)
    own = task_map.own_tasks(drawn)
    support, query = tree_map(lambda part: part[own], (batch.support, batch.query))
    return MetaBatch(support, query)


def curvature_product(
    policy: Policy, rule: InnerRule[Batch], parameters: Parameters, batch: MetaBatch, task_map: TaskMap
) -> CurvatureProduct:
    """v [D] -> mean_i J_i' F_i J_i v [D]: derived by hand where that is quicker, else by torch.func.

    By hand it is for plain gradient steps of the Gaussian MLP itself on a CPU: a subclass may compute
    something else, which the product would not know.
    """
    if not batch.tasks:  # none of this rank's was drawn
        return lambda vector: task_map.mean(vector.new_empty(0, len(vector)))
    if rule.plain and type(policy) is GaussianMLP and batch.query.actions.device.type == "cpu":
        return mlp_curvature_product(policy, rule.plain, parameters, batch, task_map)
    adapt, data = rule.linearised(parameters, batch, task_map)
    return generic_curvature_product(policy, adapt, parameters, data, batch.query, task_map)


def generic_curvature_product(
    policy: Policy,
    adapt_task: AdaptTask,
    parameters: Parameters,
    support: Any,
    query: Batch,
    task_map: TaskMap,
) -> CurvatureProduct:
    """v [D] -> mean_i J_i' F_i J_i v [D], by torch.func, for any policy and any inner rule.

    Args:
        support: what `adapt_task` adapts to, its tensors [task, ...].
    """

    def task_product(vector: Tensor, support: Any, query: Batch) -> Tensor:
        observations = without_padding(query.observations, query.valid)
        tangent = unflatten(vector, parameters)
        adapted, adapted_tangent = _jvp(lambda theta: adapt_task(theta, support), parameters, tangent)

        def act(theta: Parameters) -> Any:
            return policy(theta, observations)

        distribution, pullback = _vjp(act, adapted)
        _, distribution_tangent = _jvp(act, adapted, adapted_tangent)
        weight = (query.valid.to(vector.dtype) / query.valid.sum()).unsqueeze(-1)
        product = distribution.fisher_product(distribution_tangent)
        (cotangent,) = pullback(tree_map(lambda part: part * weight, product))
        _, adapt_pullback = _vjp(lambda theta: adapt_task(theta, support), parameters)
        return flatten(adapt_pullback(cotangent)[0])

    # Torch's forward differentiation counts its levels for all threads together: no threads here.
    mapped = torch.vmap(task_product, in_dims=(None, 0, 0), chunk_size=task_map.chunk_size)

    def product(vector: Tensor) -> Tensor:
        mean: Tensor = task_map.mean(mapped(vector, support, query))
        return mean

    return product


def _jvp(function: Callable[[Parameters], Any], at: Parameters, tangent: Parameters) -> tuple[Any, Any]:
    """Value and directional derivative."""
    result: Any = torch.func.jvp(function, (at,), (tangent,))
    return result[0], result[1]


def _vjp(function: Callable[[Parameters], Any], at: Parameters) -> tuple[Any, Callable[..., Any]]:
    """Value and pullback."""
    result: Any = torch.func.vjp(function, at)
    return result[0], result[1]
