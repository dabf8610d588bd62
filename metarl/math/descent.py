"""Descent that never climbs, by gradients alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from metarl.math.parameters import Parameters, flatten, unflatten

Data = TypeVar("Data")
Loss = Callable[[Parameters, Data], Tensor]
PAIRS = 10
"""The last trials, those that are remembered among which make a direction."""


class Pair(NamedTuple):
    """A step [D], the change of the gradient along it [D], and one over their product; all 0 where a trial is
    not remembered."""

    step: Tensor
    change: Tensor
    inverse: Tensor


def descent_path(
    loss: Loss[Data], start: Parameters, data: Data, step_size: float, steps: int
) -> list[Parameters]:
    """Where L-BFGS (Nocedal 1980) is after 0, 1, ..., K trials of a step, each of one gradient.

    The first trial is a gradient step. A trial that does not lower the loss is not taken, and the next is
    half as long; one that does is remembered where it met positive curvature. Nothing is differentiated
    through it.

    Args:
        step_size: the first trial's.
    """
    slope_and_value = torch.func.grad_and_value(loss)

    def at(point: Tensor) -> tuple[Tensor, Tensor]:
        slope, value = slope_and_value(unflatten(point, start), data)
        return flatten(slope), value

    phi = flatten({name: value.detach() for name, value in start.items()})
    slope, value = at(phi)
    scale, share, pairs = torch.full_like(value, step_size), torch.ones_like(value), list[Pair]()
    path = [unflatten(phi, start)]
    for _ in range(steps):
        tried = phi - share * quasi_newton(slope, pairs, scale)
        its_slope, its_value = at(tried)
        lower = its_value < value
        step, change = tried - phi, its_slope - slope
        product, curvature = step.dot(change), change.dot(change)
        remembered = lower & (product > 0)
        last = Pair(*(torch.where(remembered, part, 0.0) for part in (step, change, 1 / product)))
        pairs = [*pairs, last][-PAIRS:]
        scale = torch.where(remembered, product / curvature, torch.where(lower, 2 * scale, scale))
        share = torch.where(lower, 1.0, share / 2)
        phi, slope = torch.where(lower, tried, phi), torch.where(lower, its_slope, slope)
        value = torch.where(lower, its_value, value)
        path.append(unflatten(phi, start))
    return path


def quasi_newton(slope: Tensor, pairs: Sequence[Pair], scale: Tensor) -> Tensor:
    """The inverse Hessian that L-BFGS makes of pairs, the oldest first, times the slope (Nocedal and Wright
    2006, algorithm 7.4); [D].

    Args:
        scale: the inverse Hessian where the pairs say nothing of it.
    """
    found, shares = slope, list[Tensor]()
    for pair in reversed(pairs):
        shares.append(pair.inverse * pair.step.dot(found))
        found = found - shares[-1] * pair.change
    found = scale * found
    for pair in pairs:
        found = found + (shares.pop() - pair.inverse * pair.change.dot(found)) * pair.step
    return found
