"""Gradient descent that never climbs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from metarl.math.parameters import Parameters, difference, flatten

Data = TypeVar("Data")
Loss = Callable[[Parameters, Data], Tensor]


def descent_path(
    loss: Loss[Data], start: Parameters, data: Data, step_size: float, steps: int
) -> list[Parameters]:
    """Where gradient descent is after 0, 1, ..., K trials of a step, whose size follows from the last.

    After a step s that changed the gradient by y, the size is s.y / y.y (Barzilai and Borwein 1988), one over
    the curvature that was met, or twice the last size where that was not positive. A step that does not lower
    the loss is not taken, and the next trial is half as long. Nothing is differentiated through it.

    Args:
        step_size: the first trial's.
    """
    slope_and_value = torch.func.grad_and_value(loss)
    phi = {name: value.detach() for name, value in start.items()}
    slope, value = slope_and_value(phi, data)
    size, path = torch.full_like(value, step_size), [phi]
    for _ in range(steps):
        tried = {name: at - size * slope[name] for name, at in phi.items()}
        its_slope, its_value = slope_and_value(tried, data)
        step, change = flatten(difference(tried, phi)), flatten(difference(its_slope, slope))
        curved = step.dot(change) > 0
        following = torch.where(curved, step.dot(change) / change.dot(change), 2 * size)
        lower = its_value < value
        phi = {name: torch.where(lower, tried[name], at) for name, at in phi.items()}
        slope = {name: torch.where(lower, its_slope[name], at) for name, at in slope.items()}
        value, size = torch.where(lower, its_value, value), torch.where(lower, following, size / 2)
        path.append(phi)
    return path
