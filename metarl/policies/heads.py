"""Heads of policies that remember: tanh layers of their own, or ones whose weights follow from a latent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from metarl.math.parameters import Parameters
from metarl.policies.layers import linear


def orthogonal(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """An orthogonal matrix [rows, columns] (Saxe et al. 2014)."""
    matrix: Tensor = torch.nn.init.orthogonal_(torch.empty(rows, columns), generator=generator)
    return matrix


def dense(parameters: Parameters, layer: str, x: Tensor) -> Tensor:
    """W x + b; weights with a task axis are taken once where they are the same for all tasks."""
    names = [f"{layer}.{part}" for part in ("weight", "bias")]
    weight = parameters[names[0]]
    if weight.ndim == 3 and weight.stride(0) == 0:
        parameters = {name: parameters[name][0] for name in names}
    return linear(parameters, layer, x)


def tanh_parameters(name: str, inputs: int, sizes: tuple[int, ...], generator: torch.Generator) -> Parameters:
    """Orthogonal weights and zero biases of tanh layers, `name.0.weight`, `name.0.bias`, ..."""
    parameters: Parameters = {}
    for layer, (fan_in, fan_out) in enumerate(zip((inputs, *sizes[:-1]), sizes, strict=False)):
        parameters[f"{name}.{layer}.weight"] = math.sqrt(2) * orthogonal(fan_out, fan_in, generator)
        parameters[f"{name}.{layer}.bias"] = torch.zeros(fan_out)
    return parameters


def tanh_layers(parameters: Parameters, name: str, layers: int, features: Tensor) -> Tensor:
    """So many tanh layers on features [..., in]; [..., out]."""
    for layer in range(layers):
        features = torch.tanh(dense(parameters, f"{name}.{layer}", features))
    return features


def hypernetwork_parameters(latent: int, sizes: Sequence[int], generator: torch.Generator) -> Parameters:
    """Of the layer that makes an MLP's weights from a latent, by Bias-HyperInit (Beck et al. 2022).

    Its weight is 0 and its bias the flat weights and biases of an ordinary MLP, whose last layer is small:
    every latent starts with the same policy.

    Args:
        sizes: of the MLP: its inputs, hidden layers and outputs.
    """
    flat: list[Tensor] = []
    for layer, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        gain = math.sqrt(2) if layer < len(sizes) - 2 else 0.01
        flat += [gain * orthogonal(fan_out, fan_in, generator).flatten(), torch.zeros(fan_out)]
    bias = torch.cat(flat)
    return {"hypernetwork.weight": torch.zeros(len(bias), latent), "hypernetwork.bias": bias}


def generated_layers(
    parameters: Parameters, sizes: Sequence[int], latent: Tensor, observations: Tensor
) -> Tensor:
    """The outputs [..., out] of the tanh MLP whose weights a latent makes, another one for every latent.

    Args:
        sizes: as of `hypernetwork_parameters`.
        latent: [..., latent].
        observations: the MLP's inputs, [..., in].
    """
    rest, x = dense(parameters, "hypernetwork", latent), observations
    for layer, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        taken = fan_in * fan_out + fan_out
        weight, bias = rest[..., : taken - fan_out], rest[..., taken - fan_out : taken]
        rest = rest[..., taken:]
        x = (weight.reshape(*weight.shape[:-1], fan_out, fan_in) @ x.unsqueeze(-1)).squeeze(-1) + bias
        x = torch.tanh(x) if layer < len(sizes) - 2 else x
    return x
