"""A long short-term memory cell (Hochreiter and Schmidhuber 1997) as a function of its parameters."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import linear

from metarl.math.parameters import Parameters
from metarl.supervised.networks.network import initial_linear


def initial_cell(name: str, inputs: int, units: int, generator: torch.Generator) -> Parameters:
    """A cell's parameters before training.

    Args:
        inputs: numbers of its input and of all that is fed back to it.
    """
    weight, bias = initial_linear(inputs, 4 * units, generator)
    bias[units : 2 * units] += 1.0  # gates that forget little at first
    return {f"{name}.weight": weight, f"{name}.bias": bias}


def cell(parameters: Parameters, name: str, inputs: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
    """Inputs with what is fed back [..., input], memory [..., unit] -> output and memory [..., unit]."""
    gates = linear(inputs, parameters[f"{name}.weight"], parameters[f"{name}.bias"])
    into, keep, out, value = gates.chunk(4, -1)
    memory = keep.sigmoid() * memory + into.sigmoid() * value.tanh()
    return out.sigmoid() * memory.tanh(), memory
