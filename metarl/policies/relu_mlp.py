"""MLPs with ReLU between linear layers, one or several side by side, their parameters an argument."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from metarl.math.parameters import Parameters
from metarl.policies.heads import dense


def relu_parameters(
    name: str, sizes: Sequence[int], generator: torch.Generator, copies: int | None = None
) -> Parameters:
    """`name.l.weight` [*copy, out, in] and `name.l.bias` [*copy, out], as torch's `Linear` starts.

    Args:
        sizes: of the inputs, the hidden layers and the outputs.
        copies: networks side by side; None for one without an axis.
    """
    parameters: Parameters = {}
    axis = () if copies is None else (copies,)
    for layer, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        for part, shape in (("weight", (fan_out, fan_in)), ("bias", (fan_out,))):
            uniform = torch.rand(*axis, *shape, generator=generator)
            parameters[f"{name}.{layer}.{part}"] = (2 * uniform - 1) / math.sqrt(fan_in)
    return parameters


def relu_mlp(parameters: Parameters, name: str, layers: int, x: Tensor) -> Tensor:
    """So many linear layers, ReLU between them, on x [*copy, ..., in]; [*copy, ..., out]."""
    for layer in range(layers):
        x = dense(parameters, f"{name}.{layer}", x if layer == 0 else torch.relu(x))
    return x
