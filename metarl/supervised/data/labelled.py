"""N-way K-shot episodes from any labelled set (Vinyals et al. 2016, section 4.1).

Every task has classes of its own, in an order of its own that makes their labels: none is learned by heart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jsonargparse.typing import NonNegativeInt, PositiveInt
from torch import Tensor

from metarl.supervised.examples import SPLITS, Episodes, Examples, Split, TaskSource
from metarl.supervised.objectives import CLASSIFICATION

Classes = Mapping[Split, Sequence[Tensor]]
"""Every split's classes, images [instance, channel, side, side] of integers up to 255 or of numbers."""


@dataclass(frozen=True)
class EpisodeConfig:
    """Settings of every labelled set.

    Args:
        ways: classes of a task.
        shots: examples of each that a learner adapts to.
        queries: other examples of each that it is judged on in training.
        evaluation_queries: queries of a task in an evaluation.

    Raises:
        ValueError: one class in a task.
    """

    ways: PositiveInt = 5
    shots: PositiveInt = 1
    queries: PositiveInt = 5
    evaluation_queries: PositiveInt = 15

    def __post_init__(self) -> None:
        if self.ways < 2:
            raise ValueError("data.ways: expected 2 or more classes, got 1")


@dataclass(frozen=True)
class SplitConfig(EpisodeConfig):
    """Settings of sets whose classes are split by chance; the rest is the test split.

    Args:
        training_classes, validation_classes: how many classes are in this split.
        split_seed: decides which are.
    """

    training_classes: PositiveInt = 1000
    validation_classes: PositiveInt = 100
    split_seed: NonNegativeInt = 0


def split(classes: Sequence[Tensor], config: SplitConfig) -> dict[Split, Sequence[Tensor]]:
    """Disjoint splits of all classes, the same for the same seed.

    Raises:
        ValueError: too few classes for the splits and a test task.
    """
    first = int(config.training_classes)
    second = first + int(config.validation_classes)
    if second + config.ways > len(classes):
        raise ValueError(
            f"data.training_classes: expected at most {len(classes) - int(config.validation_classes)} of "
            f"{len(classes)} classes with {config.validation_classes} for validation, less the "
            f"{config.ways} of a test task, got {first}"
        )
    order = torch.randperm(len(classes), generator=torch.Generator().manual_seed(int(config.split_seed)))
    parts = order.tensor_split([first, second])
    return {name: [classes[i] for i in part] for name, part in zip(SPLITS, parts, strict=True)}


def episodes(classes: Classes, config: EpisodeConfig) -> TaskSource:
    """Tasks of a labelled set.

    Raises:
        ValueError: a split has too few classes, or a class too few examples.
    """
    most = int(config.shots) + int(max(config.queries, config.evaluation_queries))
    for name, members in classes.items():
        fewest = min(map(len, members), default=0)
        if len(members) < config.ways:
            raise ValueError(
                f"data.ways: expected at most the {len(members)} classes of the split {name}, "
                f"got {config.ways}"
            )
        if fewest < most:
            raise ValueError(
                f"data.queries: expected shots and queries of at most {fewest} examples a class, got {most}"
            )

    def draw(name: Split, tasks: int, generator: torch.Generator) -> Episodes:
        queries = config.queries if name == "train" else config.evaluation_queries
        return draw_episodes(
            classes[name], tasks, int(config.ways), int(config.shots), int(queries), generator
        )

    title = f"{config.ways}-way {config.shots}-shot of {len(classes['test'])} test classes"
    shape = tuple(classes["train"][0].shape[1:])
    return TaskSource(draw, shape, int(config.ways), CLASSIFICATION, len(classes["train"]), title)


def draw_episodes(
    classes: Sequence[Tensor], tasks: int, ways: int, shots: int, queries: int, generator: torch.Generator
) -> Episodes:
    """Tasks whose classes, in an order that makes their labels, and examples are drawn without replacement.

    So none of the support is a query; and the order of examples tells nothing of labels.
    """
    chosen = torch.stack([torch.randperm(len(classes), generator=generator)[:ways] for _ in range(tasks)])
    drawn = [
        torch.stack([_some(classes[c], shots + queries, generator) for c in row.tolist()]) for row in chosen
    ]
    images = torch.stack(drawn)  # [task, way, shot + query, ...]
    support, query = images[:, :, :shots], images[:, :, shots:]
    return Episodes(_labelled(support, generator), _labelled(query, generator), chosen)


def _some(images: Tensor, number: int, generator: torch.Generator) -> Tensor:
    return images[torch.randperm(len(images), generator=generator)[:number]]


def _labelled(images: Tensor, generator: torch.Generator) -> Examples:
    """Examples [task, way * each, ...] in a random order, from images [task, way, each, ...]."""
    tasks, ways, each = images.shape[:3]
    y = torch.arange(ways).repeat_interleave(each).expand(tasks, -1)
    order = torch.rand(tasks, ways * each, generator=generator).argsort(1)
    x = images.flatten(1, 2)[torch.arange(tasks)[:, None], order]
    scaled = x / 255 if x.dtype == torch.uint8 else x
    return Examples(scaled, y.gather(1, order))
