"""Baselines without meta-learning: one network for all training tasks, then fine-tuning or nearest centroids.

theta = argmin L(theta; the examples of all tasks), with a label for every training class. A new task gets
gradient steps from a new output layer on (Chen et al. 2019, "Baseline"), or the class whose mean feature is
nearest (Mensink et al. 2013).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from metarl.compute.task_map import TaskMap
from metarl.math.parameters import Parameters
from metarl.meta_learners.inner.gradient_rules import gradient_rule
from metarl.meta_learners.inner.meta_gradient import MetaGradient, Path
from metarl.supervised.examples import Episodes, Examples, pooled
from metarl.supervised.learners.comparing import no_steps
from metarl.supervised.learners.learner import Learner, Predict, by_steps, compose
from metarl.supervised.learners.prototypical import nearest_means
from metarl.supervised.learners.settings import StepConfig
from metarl.supervised.model import Model
from metarl.supervised.networks.network import HEAD


@dataclass(frozen=True)
class PreTrainingConfig(StepConfig):
    """Pre-training.

    Args:
        adaptation: "fine_tuning", gradient steps on the support, or "nearest_centroids" of its features.
        inner_step_size: the step size of fine-tuning.
    """

    adaptation: Literal["fine_tuning", "nearest_centroids"] = "fine_tuning"

    read_with: ClassVar[dict[str, Any]] = {
        "inner_step_size": {"adaptation": ("fine_tuning",)},
        "training.evaluation_steps": {"adaptation": ("fine_tuning",)},
    }


class Pooled(NamedTuple):
    """A task's examples with the labels of training as a whole; x, y [task, example, ...]."""

    support: tuple[()]
    query: Examples

    @property
    def tasks(self) -> int:
        return len(self.query.x)


def pre_training(model: Model, config: PreTrainingConfig, task_map: TaskMap) -> Learner:
    """The learner of one network for all training tasks."""
    network, rule = model.network, no_steps()
    classes = model.training_classes

    def initial_parameters(generator: torch.Generator) -> Parameters:
        return {**network.body(generator), **network.head(classes or network.outputs, generator)}

    def gain(path: Path, support: Sequence[Examples], query: Examples) -> Tensor:
        return -model.loss(path[-1], query)

    def direction(theta: Parameters, episodes: Episodes, updates: int) -> MetaGradient:
        examples = by_class(episodes) if classes else pooled(episodes)
        return rule.gradient(theta, Pooled((), examples), gain, task_map)

    return compose(initial_parameters, direction, config.adam, adaptation(model, config))


def adaptation(model: Model, config: PreTrainingConfig) -> Predict:
    """What the pre-trained network makes of a task."""
    if config.adaptation == "nearest_centroids":
        model.check_classifies("pre_training by nearest_centroids")
        compare = nearest_means(model)
        return lambda parameters, support, x, steps: compare(parameters, support, x).unsqueeze(0)
    tuned = by_steps(model, gradient_rule(model.loss, config.step_size, first_order=lambda k: True).step)

    def predict(parameters: Parameters, support: Examples, x: Tensor, steps: int) -> Tensor:
        return tuned(with_new_head(parameters, model), support, x, steps)

    return predict


def with_new_head(parameters: Parameters, model: Model) -> Parameters:
    """The parameters with an output layer of zeros for a task's labels; as they are in regression."""
    if not model.training_classes:
        return parameters
    new = {
        name: parameters[name].new_zeros(model.network.outputs, *parameters[name].shape[1:]) for name in HEAD
    }
    return {**parameters, **new}


def by_class(episodes: Episodes) -> Examples:
    """Support and queries together; labels are their classes' numbers."""
    together = pooled(episodes)
    return together._replace(y=episodes.classes.gather(1, together.y))
