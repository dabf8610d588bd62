"""Gradients through the solution of a regularised problem, without the path to it.

Rajeswaran et al. 2019, "Meta-learning with implicit gradients".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from metarl.math.conjugate_gradient import conjugate_gradient
from metarl.math.parameters import Parameters, flatten, unflatten

Data = TypeVar("Data")
Loss = Callable[[Parameters, Data], Tensor]


class ImplicitGradients(NamedTuple):
    """The gradients in the centres, [task, ...], and the relative residuals [task] of the linear systems that
    they solve."""

    gradients: Parameters
    residuals: Tensor


def proximal_loss(loss: Loss[Data], centre: Parameters, regularisation: float) -> Loss[Data]:
    """loss(phi) + regularisation / 2 |phi - centre|^2 (eq. 3)."""

    def evaluate(parameters: Parameters, data: Data) -> Tensor:
        distance = sum((parameters[name] - value).square().sum() for name, value in centre.items())
        return loss(parameters, data) + 0.5 * regularisation * distance

    return evaluate


def implicit_gradients(
    loss: Loss[Data],
    solutions: Parameters,
    data: Data,
    outer_gradients: Parameters,
    regularisation: float,
    iterations: int,
    tolerance: float,
) -> ImplicitGradients:
    """(I + H / regularisation)^-1 outer_gradient of every task, H the Hessian of its loss at its solution
    (eq. 6).

    Where a system is found not to be positive definite, so that the solution is no minimum, the outer
    gradient is returned as it is.

    Args:
        loss: of one task.
        solutions: minimisers of `proximal_loss` around the centres, [task, ...].
        data: of the tasks, tensors [task, ...].
        outer_gradients: of the outer objective at the solutions, [task, ...].
        iterations, tolerance: of `conjugate_gradient`.
    """
    slopes = torch.vmap(torch.func.grad(loss))
    found: Any = torch.func.vjp(lambda at: slopes(at, data), solutions)
    pullback, joined, cut = found[1], torch.vmap(flatten), torch.vmap(unflatten)

    def systems(vectors: Tensor) -> Tensor:
        hessian_products = joined(pullback(cut(vectors, solutions))[0])
        return vectors + hessian_products / regularisation

    right_hand_sides = joined({name: outer_gradients[name] for name in solutions})
    solved = conjugate_gradient(systems, right_hand_sides, iterations, tolerance)
    failed = ~solved.solution.any(-1) | (solved.relative_residual > 1)
    taken = torch.where(failed.unsqueeze(-1), right_hand_sides, solved.solution.to(right_hand_sides.dtype))
    return ImplicitGradients(cut(taken, solutions), solved.relative_residual)
