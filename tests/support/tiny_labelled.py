"""A tiny labelled set, small networks and learners on it, and finite differences."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from metarl.compute.task_map import TaskMap
from metarl.math.parameters import flatten, unflatten
from metarl.supervised.data.labelled import SplitConfig, episodes, split
from metarl.supervised.examples import Episodes, Examples, TaskSource
from metarl.supervised.model import Model
from metarl.supervised.names import find_builder, settings_of
from metarl.supervised.networks.conv import ConvConfig, conv

MAP = TaskMap(2, 1)
SIDE = 6


@dataclass(frozen=True)
class TinyConfig(SplitConfig):
    """Random patterns with noise.

    Args:
        noise: the deviation of an instance from its class's pattern, whose numbers are of deviation 1.
    """

    ways: int = 3
    shots: int = 2
    queries: int = 2
    evaluation_queries: int = 2
    training_classes: int = 8
    validation_classes: int = 4
    noise: float = 0.3


def tiny(config: TinyConfig) -> TaskSource:
    """16 classes of 6 instances of one channel."""
    return episodes(split(patterns(config), config), config)


def patterns(config: TinyConfig) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(16, 1, 1, SIDE, SIDE, generator=generator)
    return list(means + config.noise * torch.randn(16, 6, 1, SIDE, SIDE, generator=generator))


def tiny_model(transductive=True, **data):
    """A model of two small blocks, and its data."""
    source = tiny(TinyConfig(**data))
    network = conv(ConvConfig(filters=4, blocks=2, transductive=transductive), source.inputs, source.outputs)
    return Model(network, source.objective, source.training_classes), source


def tiny_learner(name, model, **settings):
    """A learner by its name, with some of its settings."""
    config = replace(settings_of("learner", name)(), **settings)
    return find_builder("learner", name)(model, config, MAP)


def doubled(parameters):
    return {name: value.double() for name, value in parameters.items()}


def draw(source, tasks=3, seed=1, split_name="train") -> Episodes:
    """Episodes in double precision."""
    found = source.draw(split_name, tasks, torch.Generator().manual_seed(seed))
    support, query = (Examples(part.x.double(), as_double(part.y)) for part in found[:2])
    return Episodes(support, query, found.classes)


def as_double(y: Tensor) -> Tensor:
    return y.double() if y.is_floating_point() else y


def one(examples: Examples, task: int) -> Examples:
    return Examples(examples.x[task], examples.y[task])


def assert_slope(found, objective, at, epsilon=1e-6, rel=1e-5):
    """found @ d = (objective(at + e d) - objective(at - e d)) / 2 e along random directions d."""
    vector, generator = flatten(at), torch.Generator().manual_seed(2)
    for _ in range(3):
        d = torch.randn(len(vector), generator=generator, dtype=torch.float64)
        high, low = (objective(unflatten(vector + sign * epsilon * d, at)) for sign in (1, -1))
        slope = ((high - low) / (2 * epsilon)).item()
        assert (flatten({n: found[n] for n in at}) @ d).item() == pytest.approx(slope, rel=rel, abs=1e-8)
