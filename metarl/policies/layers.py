"""Linear layers by the names of their parameters, with or without a task axis."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from metarl.math.parameters import Parameters


def linear(parameters: Parameters, layer: str, x: Tensor) -> Tensor:
    """W x + b by `layer.weight` [*task, out, in] and `layer.bias` [*task, out]; x [*task, ..., in]."""
    weight, bias = parameters[f"{layer}.weight"], parameters[f"{layer}.bias"]
    if weight.ndim == 2:
        return torch.nn.functional.linear(x, weight, bias)
    flat = x.reshape(len(weight), math.prod(x.shape[1:-1]), x.shape[-1])
    return torch.baddbmm(bias.unsqueeze(-2), flat, weight.mT).view(*x.shape[:-1], weight.shape[-2])


def align(vector: Tensor, like: Tensor) -> Tensor:
    """[*task, n] -> [*task, 1, ..., 1, n], with as many axes as `like`."""
    return vector.view(*vector.shape[:-1], *[1] * (like.ndim - vector.ndim), vector.shape[-1])
