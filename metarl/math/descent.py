"""Gradient descent that never climbs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from metarl.math.parameters import Parameters

Data = TypeVar("Data")
Loss = Callable[[Parameters, Data], Tensor]
_LONGER, _SHORTER = 1.2, 0.5


def descent_path(
    loss: Loss[Data], start: Parameters, data: Data, step_size: float, steps: int
) -> list[Parameters]:
    """Where gradient descent is after 0, 1, ..., K trials of a step, whose size follows from the last.

    A step that does not lower the loss is not taken, and the next trial is half as long; after one that is
    taken the next is 1.2 times as long (the "bold driver" of neural networks' training). Nothing is
    differentiated through it.

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
        lower = its_value < value
        phi = {name: torch.where(lower, tried[name], at) for name, at in phi.items()}
        slope = {name: torch.where(lower, its_slope[name], at) for name, at in slope.items()}
        value = torch.where(lower, its_value, value)
        size = torch.where(lower, _LONGER, _SHORTER) * size
        path.append(phi)
    return path
