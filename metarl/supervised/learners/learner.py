"""What a learner on labelled examples is, and the outer step of all: Adam along a direction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from jsonargparse.typing import NonNegativeFloat
from torch import Tensor

from metarl.math.parameters import Parameters, flatten
from metarl.meta_learners.inner.gradient_step import InnerStep, inner_path
from metarl.meta_learners.inner.meta_gradient import MetaGradient
from metarl.meta_learners.learner import LearnerState, Update, learned_metrics
from metarl.meta_learners.outer.clipped import adam_ascent, adam_start, scale_within, updates_done
from metarl.meta_learners.outer.schedule import ScheduledRate
from metarl.supervised.examples import Episodes, Examples
from metarl.supervised.model import Model

Direction = Callable[[Parameters, Episodes, int], MetaGradient]
"""(meta-parameters, tasks, updates done) -> what Adam climbs along."""
Predict = Callable[[Parameters, Examples, Tensor, int], Tensor]
"""(meta-parameters, one task's support, its queries x, K) -> outputs after 0, ..., K steps [step + 1, query,
output]; [1, query, output] of a learner that takes none."""


@dataclass(frozen=True)
class AdamConfig(ScheduledRate):
    """Adam on the tasks' mean loss.

    Args:
        max_gradient_norm: longer gradients are cut to this length; 0 for no bound.
    """

    max_gradient_norm: NonNegativeFloat = 0.0

    section: ClassVar[str] = "learner.adam"


@dataclass(frozen=True)
class Learner:
    """A learner as pure functions of tasks' examples.

    Args:
        initial_parameters: generator -> the meta-parameters before training.
        start: meta-parameters -> the state there before the first update.
        update: (state, tasks) -> one outer step; raises NonFiniteError where a gradient is not finite.
        predict: what it makes of one task.
    """

    initial_parameters: Callable[[torch.Generator], Parameters]
    start: Callable[[Parameters], LearnerState]
    update: Callable[[LearnerState, Episodes], Update]
    predict: Predict


def compose(
    initial_parameters: Callable[[torch.Generator], Parameters],
    direction: Direction,
    adam: AdamConfig,
    predict: Predict,
    *,
    entries: Callable[[Parameters], Parameters] = lambda parameters: {},
    entries_rate: float = 0.0,
) -> Learner:
    """The learner that climbs along a direction by Adam.

    Args:
        entries: a network's parameters -> what is learned beside them, at its start.
        entries_rate: the learning rate of these, on the same schedule.
    """

    def all_parameters(generator: torch.Generator) -> Parameters:
        own = initial_parameters(generator)
        return {**own, **entries(own)}

    pace = entries_rate / float(adam.learning_rate)
    paces = dict.fromkeys(entries(initial_parameters(torch.Generator())), pace)

    def start(parameters: Parameters) -> LearnerState:
        return LearnerState(parameters, adam_start(parameters))

    def update(state: LearnerState, episodes: Episodes) -> Update:
        done = updates_done(state.optimiser, 1)
        found = direction(state.parameters, episodes, done)
        length = torch.linalg.vector_norm(flatten(found.gradient)).item()
        scale = scale_within(float(adam.max_gradient_norm), length)
        up = {name: scale * value for name, value in found.gradient.items()}
        rate = adam.rate(done)
        parameters, moments = adam_ascent(state.parameters, state.optimiser, up, rate, paces)
        metrics = {
            "loss": -found.gain,
            "gradient_norm": length,
            "learning_rate": rate,
            **found.metrics,
            **learned_metrics(parameters, paces),
        }
        return Update(LearnerState(parameters, moments), metrics)

    return Learner(all_parameters, start, update, predict)


def by_steps(model: Model, step: InnerStep[Examples]) -> Predict:
    """Outputs along a path of inner steps, every one on the same support."""

    def predict(parameters: Parameters, support: Examples, x: Tensor, steps: int) -> Tensor:
        path = inner_path(step, parameters, [support] * steps)
        return torch.stack([model.network.apply_beside(at, support.x, x) for at in path])

    return predict
