"""Meta-SGD (Li et al. 2017): the step size of every parameter is learned with it.

theta'_i = theta - alpha o grad L(theta; support_i)   (eq. 3), alpha of theta's shape
"""

from __future__ import annotations

from dataclasses import dataclass

from jsonargparse.typing import PositiveFloat

from metarl.compute.task_map import TaskMap
from metarl.meta_learners.inner.gradient_rules import learned_sizes
from metarl.supervised.learners.learner import Learner
from metarl.supervised.learners.maml import MamlConfig, through_steps
from metarl.supervised.model import Model


@dataclass(frozen=True)
class MetaSgdConfig(MamlConfig):
    """Meta-SGD.

    Args:
        step_size_learning_rate: the rate of the learned step sizes, which follow the schedule of `adam`.
    """

    step_size_learning_rate: PositiveFloat = 1e-3


def meta_sgd(model: Model, config: MetaSgdConfig, task_map: TaskMap) -> Learner:
    """The learner theta' = theta - alpha o grad L(theta; support); alpha starts at `inner_step_size`."""
    rule = learned_sizes(
        model.loss,
        config.step_size,
        first_order=lambda k: config.first_order,
        recompute=config.recompute,
    )
    return through_steps(model, config, rule, task_map, float(config.step_size_learning_rate))
