"""Reptile (Nichol et al. 2018, algorithm 2), batched: move towards the adapted parameters.

theta^K_i = theta after K inner steps on task i, every one on other examples
theta    <- Adam along mean_i (theta - theta^K_i)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jsonargparse.typing import PositiveInt

from metarl.compute.task_map import TaskMap
from metarl.math.parameters import Parameters
from metarl.meta_learners.inner.gradient_rules import gradient_rule
from metarl.meta_learners.inner.meta_gradient import MetaGradient
from metarl.meta_learners.reptile import mean_displacement
from metarl.supervised.examples import Episodes, Examples, pooled
from metarl.supervised.learners.learner import Learner, by_steps, compose
from metarl.supervised.learners.settings import StepConfig
from metarl.supervised.model import Model


@dataclass(frozen=True)
class ReptileConfig(StepConfig):
    """Reptile.

    Args:
        inner_steps: K; a task's support and queries together are cut into as many parts, one a step.
    """

    inner_steps: PositiveInt = 5


def reptile(model: Model, config: ReptileConfig, task_map: TaskMap) -> Learner:
    """The learner theta <- theta + Adam of mean_i (theta^K_i - theta)."""
    step = gradient_rule(model.loss, config.step_size, first_order=lambda k: True).step

    def direction(theta: Parameters, episodes: Episodes, updates: int) -> MetaGradient:
        data = parts(episodes, int(config.inner_steps))
        moves = mean_displacement(step, theta, data, episodes.tasks, task_map)
        with torch.no_grad():
            losses = task_map(lambda first: model.loss(theta, first), data[0], tasks=episodes.tasks)
        return MetaGradient(moves, -task_map.mean(losses).item())

    return compose(model.network.initial_parameters, direction, config.adam, by_steps(model, step))


def parts(episodes: Episodes, number: int) -> list[Examples]:
    """All of a task's examples in so many parts, the support's first; [task, example, ...] each."""
    x, y = pooled(episodes)
    cut = zip(x.tensor_split(number, 1), y.tensor_split(number, 1), strict=True)
    return [Examples(*part) for part in cut]
