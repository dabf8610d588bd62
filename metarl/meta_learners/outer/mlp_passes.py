"""The Gaussian MLP's passes written out, for products with its derivatives: forward, tangent, backward."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from metarl.math.parameters import Parameters
from metarl.policies.gaussian_mlp import GaussianMLP


class Network(NamedTuple):
    """The forward pass on N samples: inputs [N, in] and weights [out, in] of every layer, slopes [N, out]
    of the hidden ones, and the output (mean [N, action], standard deviation [action])."""

    inputs: list[Tensor]
    slopes: list[Tensor]
    weights: list[Tensor]
    mean: Tensor
    std: Tensor
    std_is_free: Tensor


def forward(policy: GaussianMLP, parameters: Parameters, observations: Tensor) -> Network:
    inputs, slopes, weights = [observations], [], []
    for name in policy.layer_names:
        weights.append(parameters[f"{name}.weight"])
        output = torch.addmm(parameters[f"{name}.bias"], inputs[-1], weights[-1].T)
        if name != policy.layer_names[-1]:
            if policy.activation == "tanh":
                inputs.append(output.tanh_())
                slopes.append(1 - output.square())
            else:
                inputs.append(output.relu_())
                slopes.append((output > 0).to(output.dtype))
    log_std = policy.log_std(parameters)
    std_is_free = (parameters["log_std"] >= log_std).to(log_std.dtype)
    return Network(inputs, slopes, weights, output, log_std.exp(), std_is_free)


def tangent_forward(
    policy: GaussianMLP, network: Network, tangent: Parameters
) -> tuple[list[Tensor], Tensor]:
    """Tangents of every layer's input (the first, of the observations, is empty) and of the mean."""
    hidden = [torch.empty(0)]
    for layer, name in enumerate(policy.layer_names):
        output = torch.addmm(tangent[f"{name}.bias"], network.inputs[layer], tangent[f"{name}.weight"].T)
        if layer > 0:
            output.addmm_(hidden[-1], network.weights[layer].T)
        if layer < len(network.slopes):
            hidden.append(output.mul_(network.slopes[layer]))
    return hidden, output


def backward(
    policy: GaussianMLP, network: Network, mean_delta: Tensor
) -> tuple[list[Tensor], list[Tensor] | None]:
    """The loss's derivative at every layer's output, and act''(z) / act'(z) times that at hidden h.

    tanh'' = -2 tanh tanh', so that act'' Rz = -2 h Rh: no second set of slopes is kept. ReLU has none.
    """
    deltas, curls = [mean_delta], []
    for layer in reversed(range(1, len(network.weights))):
        error = deltas[-1] @ network.weights[layer]
        curls.append(error * network.inputs[layer] * -2)
        deltas.append(error * network.slopes[layer - 1])
    return deltas[::-1], curls[::-1] if policy.activation == "tanh" else None
