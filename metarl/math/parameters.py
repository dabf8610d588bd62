"""Arithmetic on parameter dicts: name -> tensor."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

Parameters = dict[str, Tensor]


def flatten(parameters: Mapping[str, Tensor]) -> Tensor:
    """Joins all parameters, in the dict's order, into one vector [D]."""
    return torch.cat([value.reshape(-1) for value in parameters.values()])


def unflatten(vector: Tensor, like: Mapping[str, Tensor]) -> Parameters:
    """Cuts a vector [D] into the names, order and shapes of `like`."""
    pieces = torch.split(vector, [value.numel() for value in like.values()])
    return {name: piece.view_as(like[name]) for name, piece in zip(like, pieces, strict=True)}


def repeat(parameters: Mapping[str, Tensor], tasks: int) -> Parameters:
    """Gives every parameter a leading task axis: [...] -> [task, ...], without a copy."""
    return {name: value.expand(tasks, *value.shape) for name, value in parameters.items()}


def select(parameters: Mapping[str, Tensor], task: int) -> Parameters:
    """One task's parameters: [task, ...] -> [...]."""
    return {name: value[task] for name, value in parameters.items()}


def kind(parameters: Mapping[str, Tensor]) -> tuple[torch.dtype, torch.device]:
    """The dtype and device of the parameters."""
    value = next(iter(parameters.values()))
    return value.dtype, value.device


def difference(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> Parameters:
    """one - other, for the names of `one`."""
    return {name: value - other[name] for name, value in one.items()}


def add_scaled(parameters: Mapping[str, Tensor], scale: float, direction: Mapping[str, Tensor]) -> Parameters:
    """parameters + scale * direction."""
    return {name: value + scale * direction[name] for name, value in parameters.items()}


def first_not_finite(parameters: Mapping[str, Tensor]) -> tuple[str, int] | None:
    """The first name and task with a number that is not finite, of parameters [task, ...]; None if none."""
    for name, values in parameters.items():
        finite = torch.isfinite(values.reshape(len(values), -1)).all(1)
        if not finite.all():
            return name, int((~finite).nonzero()[0])
    return None
