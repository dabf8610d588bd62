"""Decoders of VariBAD (Zintgraf et al. 2020): what a latent says a step is paid, and leads to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from metarl.math.parameters import Parameters
from metarl.math.returns import without_padding
from metarl.policies.heads import dense, orthogonal, tanh_layers, tanh_parameters
from metarl.rollouts.trials import Trials

Decode = Callable[[Tensor, Tensor], Tensor]
"""(z [..., z], x [..., in]) -> [..., out]."""


class Asked(NamedTuple):
    """What a decoder is asked of every step of some trials.

    Args:
        inputs: [trial, time, in], beside the latent.
        targets: [trial, time, out].
    """

    inputs: Tensor
    targets: Tensor


def decoder_parameters(
    name: str, inputs: int, outputs: int, sizes: Sequence[int], generator: torch.Generator
) -> Parameters:
    """`name.0.weight`, `name.0.bias`, ..., `name.output.weight`, `name.output.bias`; orthogonal, zero biases.

    Args:
        inputs: numbers of latent and step.
    """
    last = sizes[-1] if sizes else inputs
    return {
        **tanh_parameters(name, inputs, tuple(sizes), generator),
        f"{name}.output.weight": orthogonal(outputs, last, generator),
        f"{name}.output.bias": torch.zeros(outputs),
    }


def decoder(theta: Parameters, name: str) -> Decode:
    """The decoder of that name, an MLP of tanh layers."""
    layers = sum(each.startswith(f"{name}.") and each.endswith(".weight") for each in theta) - 1

    def decode(z: Tensor, inputs: Tensor) -> Tensor:
        return dense(
            theta, f"{name}.output", tanh_layers(theta, name, layers, torch.cat((z, inputs), dim=-1))
        )

    return decode


def rewards_asked(trials: Trials) -> Asked:
    """r of (s, a, s'); 0 in padding."""
    parts = (trials.observations, trials.actions, trials.next_observations)
    inputs = torch.cat([without_padding(part, trials.valid) for part in parts], dim=-1)
    return Asked(inputs, torch.where(trials.valid, trials.rewards, 0.0).unsqueeze(-1))


def states_asked(trials: Trials) -> Asked:
    """s' of (s, a); 0 in padding."""
    before, action, after = (
        without_padding(part, trials.valid)
        for part in (trials.observations, trials.actions, trials.next_observations)
    )
    return Asked(torch.cat((before, action), dim=-1), after)


def decoded(theta: Parameters, name: str, latents: Tensor, asked: Asked) -> Tensor:
    """What a latent of every trial [trial, z] says of all its steps; [trial, time, out]."""
    z = latents.unsqueeze(1).expand(-1, asked.inputs.shape[1], -1)
    return decoder(theta, name)(z, asked.inputs)
