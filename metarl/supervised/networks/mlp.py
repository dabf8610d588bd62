"""A network of fully connected ReLU layers, as Finn et al. 2017, section 5.1, take for sinusoids."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from jsonargparse.typing import PositiveInt
from torch import Tensor
from torch.nn.functional import linear

from metarl.math.parameters import Parameters
from metarl.supervised.networks.network import Network, initial_linear


@dataclass(frozen=True)
class MlpConfig:
    """Fully connected layers with ReLU.

    Args:
        hidden_sizes: units of every hidden layer.
    """

    hidden_sizes: tuple[PositiveInt, ...] = (40, 40)


def mlp(config: MlpConfig, inputs: tuple[int, ...], outputs: int) -> Network:
    """The network of flattened examples."""
    sizes = [math.prod(inputs), *map(int, config.hidden_sizes)]

    def body(generator: torch.Generator) -> Parameters:
        parameters: Parameters = {}
        for layer, (fan_in, fan_out) in enumerate(pairwise(sizes)):
            weight, bias = initial_linear(fan_in, fan_out, generator)
            parameters |= {f"hidden.{layer}.weight": weight, f"hidden.{layer}.bias": bias}
        return parameters

    def features(parameters: Parameters, x: Tensor, statistics_of: int | None) -> Tensor:
        hidden = x.flatten(1)
        for layer in range(len(sizes) - 1):
            weight, bias = parameters[f"hidden.{layer}.weight"], parameters[f"hidden.{layer}.bias"]
            hidden = torch.relu(linear(hidden, weight, bias))
        return hidden

    return Network(body, features, sizes[-1], outputs, sizes[0])
