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

from metarl.math.gaussian import DiagonalGaussian, fisher_product
from metarl.math.parameters import Parameters, flatten, unflatten
from metarl.math.returns import without_padding
from metarl.policies.policy import Policy
from metarl.rollouts.rollout import Batch

AdaptTask = Callable[[Parameters, Any], Parameters]
"""(meta-parameters, one task's support) -> adapted parameters."""
CurvatureProduct = Callable[[Tensor], Tensor]


def generic_curvature_product(
    policy: Policy,
    adapt_task: AdaptTask,
    parameters: Parameters,
    support: Any,
    query: Batch,
    chunk_size: int | None,
) -> CurvatureProduct:
    """v [D] -> mean_i J_i' F_i J_i v [D], by torch.func, for any policy and any inner rule.

    Args:
        support: what `adapt_task` adapts to, its tensors [task, ...].
        chunk_size: tasks mapped over at once; None for all.
    """

    def task_product(vector: Tensor, support: Any, query: Batch) -> Tensor:
        observations = without_padding(query.observations, query.valid)
        tangent = unflatten(vector, parameters)
        adapted, adapted_tangent = _jvp(lambda theta: adapt_task(theta, support), parameters, tangent)

        def act(theta: Parameters) -> DiagonalGaussian:
            return policy(theta, observations)

        distribution, pullback = _vjp(act, adapted)
        _, distribution_tangent = _jvp(act, adapted, adapted_tangent)
        weight = (query.valid.to(vector.dtype) / query.valid.sum()).unsqueeze(-1)
        product = fisher_product(distribution, distribution_tangent)
        (cotangent,) = pullback(DiagonalGaussian(product.mean * weight, product.log_std * weight))
        _, adapt_pullback = _vjp(lambda theta: adapt_task(theta, support), parameters)
        return flatten(adapt_pullback(cotangent)[0])

    mapped = torch.vmap(task_product, in_dims=(None, 0, 0), chunk_size=chunk_size)
    return lambda vector: mapped(vector, support, query).mean(0)


def _jvp(function: Callable[[Parameters], Any], at: Parameters, tangent: Parameters) -> tuple[Any, Any]:
    """Value and directional derivative."""
    result: Any = torch.func.jvp(function, (at,), (tangent,))
    return result[0], result[1]


def _vjp(function: Callable[[Parameters], Any], at: Parameters) -> tuple[Any, Callable[..., Any]]:
    """Value and pullback."""
    result: Any = torch.func.vjp(function, at)
    return result[0], result[1]
