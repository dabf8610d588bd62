"""Prototypical networks (Snell et al. 2017): a query is of the class whose mean is nearest.

c_k        = mean of f(x_i) over the support of class k              (eq. 1)
p(y = k|x) = softmax_k(-|f(x) - c_k|^2)                              (eq. 2)
"""

from __future__ import annotations

from torch import Tensor

from metarl.compute.task_map import TaskMap
from metarl.math.parameters import Parameters
from metarl.supervised.examples import Examples
from metarl.supervised.learners.comparing import (
    Compare,
    ComparingConfig,
    class_means,
    comparing,
    squared_distances,
)
from metarl.supervised.learners.learner import Learner
from metarl.supervised.model import Model


def prototypical(model: Model, config: ComparingConfig, task_map: TaskMap) -> Learner:
    """The learner of f that makes p(y|x) large."""
    model.check_classifies("prototypical")
    return comparing(model, model.network.body, nearest_means(model), config, task_map)


def nearest_means(model: Model) -> Compare:
    """Minus squared distances of queries' features to the means of every label's."""

    def compare(parameters: Parameters, support: Examples, x: Tensor) -> Tensor:
        network = model.network
        prototypes = class_means(network.features(parameters, support.x, None), support.y, network.outputs)
        return -squared_distances(network.features_beside(parameters, support.x, x), prototypes)

    return compare
