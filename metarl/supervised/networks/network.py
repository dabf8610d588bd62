"""A network as functions of its parameters: features, and a linear layer of outputs on them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import linear

from metarl.math.parameters import Parameters

HEAD = "head.weight", "head.bias"


@dataclass(frozen=True)
class Network:
    """A body of features, on which an output layer `head` stands.

    Args:
        body: generator -> the body's parameters before training.
        features: (parameters, x [example, ...], n) -> [example, feature], where batches are normalised by the
            statistics of the first n examples; by those of all with None.
        feature_size: numbers of a feature.
        outputs: of the head.
        inputs: numbers of an example's x.
        transductive: whether queries are normalised by their own statistics, which tell of one another,
            instead of the support's; None of a network that normalises nothing.
        norms: names of the scales and shifts of normalised batches.
    """

    body: Callable[[torch.Generator], Parameters]
    features: Callable[[Parameters, Tensor, int | None], Tensor]
    feature_size: int
    outputs: int
    inputs: int
    transductive: bool | None = None
    norms: tuple[str, ...] = ()

    def initial_parameters(self, generator: torch.Generator) -> Parameters:
        """Body and head before training."""
        return {**self.body(generator), **self.head(self.outputs, generator)}

    def head(self, outputs: int, generator: torch.Generator) -> Parameters:
        """A head of so many outputs before training."""
        weight, bias = initial_linear(self.feature_size, outputs, generator)
        return dict(zip(HEAD, (weight, bias), strict=True))

    def apply(self, parameters: Parameters, x: Tensor, statistics_of: int | None = None) -> Tensor:
        """x [example, ...] -> outputs [example, output].

        Args:
            statistics_of: as of `features`.
        """
        return apply_head(parameters, self.features(parameters, x, statistics_of))

    def features_beside(self, parameters: Parameters, support: Tensor, x: Tensor) -> Tensor:
        """Features of queries x beside a support: [query, feature]."""
        if self.transductive is not False:
            return self.features(parameters, x, None)
        return self.features(parameters, torch.cat([support, x]), len(support))[len(support) :]

    def apply_beside(self, parameters: Parameters, support: Tensor, x: Tensor) -> Tensor:
        """Outputs of queries x beside a support: [query, output]."""
        return apply_head(parameters, self.features_beside(parameters, support, x))


def apply_head(parameters: Parameters, features: Tensor) -> Tensor:
    """features [..., feature] -> outputs [..., output]."""
    weight, bias = (parameters[name] for name in HEAD)
    return linear(features, weight, bias)


def initial_linear(inputs: int, outputs: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Weight [out, in] and bias [out], uniform as those of torch's `Linear`."""
    bound = 1 / math.sqrt(inputs)
    return uniform(bound, (outputs, inputs), generator), uniform(bound, (outputs,), generator)


def uniform(bound: float, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Between -bound and bound."""
    return bound * (2 * torch.rand(shape, generator=generator) - 1)
