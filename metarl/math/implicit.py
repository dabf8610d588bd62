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


class ImplicitGradient(NamedTuple):
    """The gradient in the centre, and the relative residual of the linear system it solves."""

    gradient: Parameters
    residual: float


def proximal_loss(loss: Loss[Data], centre: Parameters, regularisation: float) -> Loss[Data]:
    """loss(phi) + regularisation / 2 |phi - centre|^2 (eq. 3)."""

    def evaluate(parameters: Parameters, data: Data) -> Tensor:
        distance = sum((parameters[name] - value).square().sum() for name, value in centre.items())
        return loss(parameters, data) + 0.5 * regularisation * distance

    return evaluate


def implicit_gradient(
    loss: Loss[Data],
    solution: Parameters,
    data: Data,
    outer_gradient: Parameters,
    regularisation: float,
    iterations: int,
    tolerance: float,
) -> ImplicitGradient:
    """(I + H / regularisation)^-1 outer_gradient, H the Hessian of the loss at the solution (eq. 6).

    Where the system is found not to be positive definite, so that the solution is no minimum,
    outer_gradient is returned as it is.

    Args:
        solution: a minimiser of `proximal_loss` around the centre.
        outer_gradient: of the outer objective, at the solution.
        iterations, tolerance: of `conjugate_gradient`.
    """

    def inner_gradient(parameters: Parameters) -> Parameters:
        gradient: Parameters = torch.func.grad(loss)(parameters, data)
        return gradient

    found: Any = torch.func.vjp(inner_gradient, solution)
    pullback = found[1]

    def system(vector: Tensor) -> Tensor:
        hessian_product = flatten(pullback(unflatten(vector, solution))[0])
        return vector + hessian_product / regularisation

    ordered = {name: outer_gradient[name] for name in solution}
    right_hand_side = flatten(ordered)
    solved = conjugate_gradient(system, right_hand_side, iterations, tolerance)
    if not solved.solution.any() or solved.relative_residual > 1:
        return ImplicitGradient(ordered, solved.relative_residual)
    gradient = unflatten(solved.solution.to(right_hand_side.dtype), solution)
    return ImplicitGradient(gradient, solved.relative_residual)
