"""The inner rule, for any loss: theta' = theta - alpha * gradient (Finn et al. 2017, eq. 1).

Nothing here knows of policies or rewards: the same rule adapts a policy to episodes and a
regressor to points.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from metarl.math.parameters import Parameters

Data = TypeVar("Data")
Loss = Callable[[Parameters, Data], Tensor]
InnerStep = Callable[[Parameters, Data, int], Parameters]
"""(one task's parameters, its data, the step's number from 0) -> its parameters after the step."""
StepSize = float | Mapping[str, Tensor]
"""One number for all parameters, or one tensor a parameter, broadcast over it."""


def inner_step(
    loss: Loss[Data],
    parameters: Parameters,
    data: Data,
    step_size: StepSize,
    *,
    names: Collection[str] | None = None,
    first_order: bool = False,
) -> Parameters:
    """One gradient step on one task's data; differentiable, and a new dict.

    Args:
        loss: (parameters, data) -> scalar.
        names: the parameters that move; None for all. The others are passed on.
        first_order: treat the gradient as a constant, so that the step's Jacobian is the identity.
    """
    moving = {name: value for name, value in parameters.items() if names is None or name in names}

    def of_moving(moved: Parameters, data: Data) -> Tensor:
        return loss({**parameters, **moved}, data)

    gradient: Parameters = torch.func.grad(of_moving)(moving, data)
    if first_order:
        gradient = {name: value.detach() for name, value in gradient.items()}
    moved = {name: value - _step(step_size, name) * gradient[name] for name, value in moving.items()}
    return {**parameters, **moved}


def inner_path(step: InnerStep[Data], parameters: Parameters, supports: Sequence[Data]) -> list[Parameters]:
    """theta^0, ..., theta^K: each inner step on its own data."""
    path = [parameters]
    for k, data in enumerate(supports):
        path.append(step(path[-1], data, k))
    return path


def _step(step_size: StepSize, name: str) -> float | Tensor:
    return step_size[name] if isinstance(step_size, Mapping) else step_size
