"""The gated recurrent unit (Cho et al. 2014), its parameters an argument: a step, and a fused sequence."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from metarl.math.parameters import Parameters
from metarl.policies.gru_kernel import GruSequence
from metarl.policies.heads import dense, orthogonal

_GRU: Any = torch.gru
_SEQUENCE: Any = GruSequence.apply


def gru_parameters(name: str, inputs: int, hidden: int, generator: torch.Generator) -> Parameters:
    """`name.input.weight` [3 h, in], `name.input.bias`, `name.hidden.weight` [3 h, h], `name.hidden.bias`.

    Orthogonal weights of every gate, zero biases.
    """
    parameters: Parameters = {}
    for part, columns in (("input", inputs), ("hidden", hidden)):
        gates = [orthogonal(hidden, columns, generator) for _ in range(3)]
        parameters[f"{name}.{part}.weight"] = torch.cat(gates)
        parameters[f"{name}.{part}.bias"] = torch.zeros(3 * hidden)
    return parameters


def gru_cell(parameters: Parameters, name: str, inputs: Tensor, hidden: Tensor) -> Tensor:
    """One step of torch's GRU: h' = (1 - z) n + z h, n = tanh(W_n x + r (U_n h))."""
    of_input = dense(parameters, f"{name}.input", inputs).chunk(3, dim=-1)
    of_hidden = dense(parameters, f"{name}.hidden", hidden).chunk(3, dim=-1)
    reset, update = (torch.sigmoid(of_input[i] + of_hidden[i]) for i in range(2))
    new = torch.tanh(of_input[2] + reset * of_hidden[2])
    return new + update * (hidden - new)


def gru_sequence(parameters: Parameters, name: str, inputs: Tensor) -> Tensor:
    """Hidden states [trial, time, h] of inputs [trial, time, in] from a state of zeros.

    By `GruSequence` on a CPU, which autograd alone differentiates, once; by torch's kernel elsewhere.
    """
    names = ("input.weight", "hidden.weight", "input.bias", "hidden.bias")
    weights = [parameters[f"{name}.{part}"] for part in names]
    if inputs.device.type == "cpu":
        states: Tensor = _SEQUENCE(inputs, *weights)
        return states
    start = inputs.new_zeros(1, len(inputs), weights[1].shape[-1])
    training = True  # or cuDNN refuses the backward pass; without dropout the values are the same
    hidden: Tensor = _GRU(inputs, start, weights, True, 1, 0.0, training, False, True)[0]
    return hidden
