"""Conjugate gradient for symmetric positive definite products: of one system, or of many at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class ConjugateGradientResult(NamedTuple):
    """Solutions x [..., D] and their images A x [..., D], both float64, the relative residuals
    ||b - Ax|| / ||b|| [...], and the products used."""

    solution: Tensor
    image: Tensor
    relative_residual: Tensor
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
        product: v [..., D] -> A v [..., D], in b's precision, each of its own A.
        b: [..., D]; every system stops on its own, and the products end with the last.
        iterations: products at most; as many vectors [..., D] are kept, twice.
        tolerance: stops when ||b - Ax||^2 falls to this share of ||b||^2.
    """
    residual = direction = b.double()
    x = torch.zeros_like(residual)
    squared = initial = _dot(residual, residual)
    going = squared > tolerance * initial
    directions: list[Tensor] = []
    images: list[Tensor] = []
    used = 0
    while used < iterations and going.any():
        image = product(direction.to(b.dtype)).double()
        used += 1
        curvature = _dot(direction, image)
        going = going & ~(curvature <= 0)  # what is no number goes on, into the residual
        step = (_dot(residual, direction) / curvature).unsqueeze(-1)
        x = torch.where(going.unsqueeze(-1), x + step * direction, x)
        residual = torch.where(going.unsqueeze(-1), residual - step * image, residual)
        squared = _dot(residual, residual)
        if len(directions) == b.shape[-1]:  # there are no more: begin anew from the residual
            directions, images = [], []
        directions.append(direction)
        images.append(image / curvature.unsqueeze(-1))
        overlaps = _dots(torch.stack(images, -2), residual)
        direction = residual - (overlaps.unsqueeze(-2) @ torch.stack(directions, -2)).squeeze(-2)
        going = going & (squared > tolerance * initial)
    relative = torch.where(initial != 0, (squared / initial).sqrt(), 0.0)
    return ConjugateGradientResult(x, b.double() - residual, relative, used)


def _dot(one: Tensor, other: Tensor) -> Tensor:
    """[..., D], [..., D] -> [...]."""
    product: Tensor = torch.linalg.vecdot(one, other)
    return product


def _dots(rows: Tensor, vector: Tensor) -> Tensor:
    """[..., n, D], [..., D] -> [..., n]."""
    if vector.ndim == 1:
        return rows.mv(vector)  # a matrix of one column is rounded otherwise
    return (rows @ vector.unsqueeze(-1)).squeeze(-1)
