"""Learners that adapt no parameters: they compare queries with a support, and are trained as they do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from metarl.compute.task_map import TaskMap
from metarl.math.parameters import Parameters
from metarl.meta_learners.inner.meta_gradient import MetaGradient, Path
from metarl.meta_learners.inner.rule import InnerRule, differentiated
from metarl.supervised.examples import Episodes, Examples, repeated
from metarl.supervised.learners.learner import Learner, compose
from metarl.supervised.learners.settings import OuterConfig
from metarl.supervised.model import Model

Compare = Callable[[Parameters, Examples, Tensor], Tensor]
"""(parameters, one task's support, its queries x) -> logits [query, label]."""


@dataclass(frozen=True)
class ComparingConfig(OuterConfig):
    """Settings of learners that take no inner steps."""

    unread: ClassVar[tuple[str, ...]] = ("training.evaluation_steps",)


def no_steps() -> InnerRule[Any]:
    """theta' = theta."""
    return differentiated(lambda parameters, data, k: parameters)


def comparing(
    model: Model,
    initial_parameters: Callable[[torch.Generator], Parameters],
    compare: Compare,
    config: OuterConfig,
    task_map: TaskMap,
) -> Learner:
    """The learner whose logits of queries have the least cross-entropy with their labels."""
    rule = no_steps()

    def gain(path: Path, support: Sequence[Examples], query: Examples) -> Tensor:
        return -model.objective.loss(compare(path[-1], support[-1], query.x), query.y)

    def direction(theta: Parameters, episodes: Episodes, updates: int) -> MetaGradient:
        return rule.gradient(theta, repeated(episodes, 1), gain, task_map)

    def predict(parameters: Parameters, support: Examples, x: Tensor, steps: int) -> Tensor:
        return compare(parameters, support, x).unsqueeze(0)

    return compose(initial_parameters, direction, config.adam, predict)


def one_hot(labels: Tensor, ways: int, like: Tensor) -> Tensor:
    """[example] -> [example, label], of the numbers' kind that `like` has."""
    return (labels.unsqueeze(-1) == torch.arange(ways, device=labels.device)).to(like.dtype)


def class_means(features: Tensor, labels: Tensor, ways: int) -> Tensor:
    """The mean of every label's features [example, feature]; [label, feature]."""
    member = one_hot(labels, ways, features)
    return member.T @ features / member.sum(0).unsqueeze(-1)


def squared_distances(one: Tensor, other: Tensor) -> Tensor:
    """[a, feature], [b, feature] -> [a, b]."""
    return (one.unsqueeze(1) - other.unsqueeze(0)).square().sum(-1)
