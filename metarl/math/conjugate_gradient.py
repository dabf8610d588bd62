"""Conjugate gradient for a symmetric positive definite product."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class ConjugateGradientResult(NamedTuple):
    """Solution x [D] and its image A x [D], both float64, the relative residual ||b - Ax|| / ||b||, and the
    products used."""

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

    All vectors are float64, whatever the product's precision, and every direction is made conjugate to all
    before it, not to the last alone: where A is ill-conditioned, the rounding of a float32 product lets
    conjugacy fade within ten iterations, and x then differs from that of exact products by a third.

    Args:
        product: v [D] -> A v [D], in b's precision.
        b: [D].
        iterations: products at most; as many vectors [D] are kept, twice.
        tolerance: stops when ||b - Ax||^2 falls to this share of ||b||^2.
    """
    residual = direction = b.double()
    x = torch.zeros_like(residual)
    initial = residual.dot(residual)
    squared = initial
    directions: list[Tensor] = []
    images: list[Tensor] = []
    used = 0
    while used < iterations and squared > tolerance * initial:
        image = product(direction.to(b.dtype)).double()
        used += 1
        curvature = direction.dot(image)
        if curvature <= 0:
            break
        step = residual.dot(direction) / curvature
        x = x + step * direction
        residual = residual - step * image
        squared = residual.dot(residual)
        if len(directions) == len(b):  # there are no more: begin anew from the residual
            directions, images = [], []
        directions.append(direction)
        images.append(image / curvature)
        overlaps = torch.stack(images) @ residual
        direction = residual - overlaps @ torch.stack(directions)
    relative = (squared / initial).sqrt().item() if initial != 0 else 0.0
    return ConjugateGradientResult(x, b.double() - residual, relative, used)
