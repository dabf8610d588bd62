"""The convolutional network of few-shot classification (Vinyals et al. 2016, section 4.1.1): four blocks of a
3 x 3 convolution, batch normalisation, ReLU and a halving of both sides."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from jsonargparse.typing import PositiveInt
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d

from metarl.math.parameters import Parameters
from metarl.supervised.networks.network import Network

_EPSILON = 1e-5


@dataclass(frozen=True)
class ConvConfig:
    """Blocks of convolution, batch normalisation, ReLU and halving.

    Args:
        filters: channels of every block.
        blocks: how many blocks; each halves both sides.
        halving: what halves: "stride" of 2 in convolutions, as MAML on Omniglot, or max pooling ("pool").
        transductive: normalise queries by their own batch's statistics, so that they tell of one another, as
            MAML's code does; false for the support's statistics.
    """

    filters: PositiveInt = 64
    blocks: PositiveInt = 4
    halving: Literal["stride", "pool"] = "stride"
    transductive: bool = True


def conv(config: ConvConfig, inputs: tuple[int, ...], outputs: int) -> Network:
    """The network of images [channel, side, side].

    Raises:
        ValueError: examples that are no images, or images that so many blocks leave nothing of.
    """
    if len(inputs) != 3:
        raise ValueError(f"network.name: expected data of images for conv, got inputs of shape {inputs}")
    channels, *sides = inputs
    for _ in range(config.blocks):
        sides = [(side + 1) // 2 if config.halving == "stride" else side // 2 for side in sides]
    if not math.prod(sides):
        raise ValueError(
            f"network.blocks: expected fewer, for images of {inputs[1]} x {inputs[2]}, got {config.blocks}"
        )
    widths = [channels, *[int(config.filters)] * config.blocks]

    def body(generator: torch.Generator) -> Parameters:
        parameters: Parameters = {}
        for i, (fan, filters) in enumerate(pairwise(widths)):
            deviation = math.sqrt(2 / (9 * fan))
            parameters[f"conv.{i}.weight"] = deviation * torch.randn(filters, fan, 3, 3, generator=generator)
            parameters[f"conv.{i}.bias"] = torch.zeros(filters)
            parameters[f"norm.{i}.weight"] = torch.ones(filters)
            parameters[f"norm.{i}.bias"] = torch.zeros(filters)
        return parameters

    def features(parameters: Parameters, x: Tensor, statistics_of: int | None) -> Tensor:
        for i in range(config.blocks):
            stride = 2 if config.halving == "stride" else 1
            weight, bias = parameters[f"conv.{i}.weight"], parameters[f"conv.{i}.bias"]
            x = conv2d(x, weight, bias, stride=stride, padding=1)
            x = normalised(x, parameters[f"norm.{i}.weight"], parameters[f"norm.{i}.bias"], statistics_of)
            x = torch.relu(x)
            if config.halving == "pool":
                x = max_pool2d(x, 2)
        return x.flatten(1)

    norms = tuple(f"norm.{i}.{part}" for i in range(config.blocks) for part in ("weight", "bias"))
    size = int(config.filters) * math.prod(sides)
    return Network(body, features, size, outputs, math.prod(inputs), config.transductive, norms)


def normalised(x: Tensor, scale: Tensor, shift: Tensor, statistics_of: int | None) -> Tensor:
    """Batch normalisation (Ioffe and Szegedy 2015) of one task's maps [example, channel, side, side].

    Args:
        scale, shift: [channel].
        statistics_of: how many examples, the first ones, mean and variance are of; None for all.
    """
    known = x[:statistics_of]
    mean = known.mean((0, 2, 3))
    variance = (known - mean[:, None, None]).square().mean((0, 2, 3))
    gain = scale * torch.rsqrt(variance + _EPSILON)
    # The maps are what costs: one product and one sum of them, four of numbers by channel.
    return x * gain[:, None, None] + (shift - mean * gain)[:, None, None]
