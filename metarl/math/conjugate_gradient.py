"""Conjugate gradient for a symmetric positive definite product."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class ConjugateGradientResult(NamedTuple):
    """Solution x [D], its image A x [D], the relative residual ||b - Ax|| / ||b||, and the products used."""

    solution: Tensor
    image: Tensor
    relative_residual: float
    iterations: int


def conjugate_gradient(
    product: Callable[[Tensor], Tensor], b: Tensor, iterations: int, tolerance: float = 1e-10
) -> ConjugateGradientResult:
    """Solves A x = b (Hestenes and Stiefel 1952), starting at 0.

    Where A is not positive definite, x is the last point before the first direction of negative curvature
    (Steihaug 1983), and 0 if that is b itself.

    Args:
        product: v [D] -> A v [D].
        b: [D].
        iterations: products at most.
        tolerance: stops when the squared norm of the residual falls below it.
    """
    x = torch.zeros_like(b)
    residual = b.clone()
    direction = b.clone()
    squared = residual.dot(residual)
    initial = squared
    used = 0
    while used < iterations and squared > tolerance:
        image = product(direction)
        used += 1
        curvature = direction.dot(image)
        if curvature <= 0:
            break
        step = squared / curvature
        x = x + step * direction
        residual = residual - step * image
        previous, squared = squared, residual.dot(residual)
        direction = residual + (squared / previous) * direction
    relative = (squared / initial).sqrt().item() if initial > 0 else 0.0
    return ConjugateGradientResult(x, b - residual, relative, used)
