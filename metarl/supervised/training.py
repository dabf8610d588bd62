"""The methods' settings, their training by Adam, and their adaptation to new sinusoids."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from metarl.compute.task_map import TaskMap
from metarl.errors import TrainingError
from metarl.math.parameters import Parameters, flatten
from metarl.meta_learners.inner.gradient_step import inner_path
from metarl.meta_learners.outer.clipped import adam_ascent, adam_start
from metarl.meta_learners.outer.schedule import scheduled
from metarl.supervised.methods import (
    MAML_PP_STEPS,
    SHOTS,
    Adaptation,
    Gradient,
    gradient_descent,
    imaml,
    learned_descent,
    maml,
    maml_pp,
    pre_training,
    proximal_step,
    reptile,
)
from metarl.supervised.sinusoids import (
    Points,
    SinusoidBatch,
    Sinusoids,
    grid,
    initial_parameters,
    mean_squared_error,
    predict,
    sample_tasks,
)

TASKS, QUERY_POINTS = 100, 40
EVALUATION_SHOTS, EVALUATION_STEPS = 5, 10
IMAML_REGULARISATION = 2.0


@dataclass(frozen=True)
class Method:
    """One row of the table.

    Args:
        gradient: what Adam descends along.
        iterations, learning_rate: of Adam; the rate falls to 0 along a half cosine.
        inner_steps: K of the iterations, in turn. With K = 1 alone the step grows so long that further
            ones on five points can overshoot; some longer adaptations keep them stable.
        adaptation: the inner rule on a new task.
        extra: learned entries beside the network's own at the start.
    """

    title: str
    gradient: Gradient
    iterations: int
    learning_rate: float = 6e-3
    inner_steps: tuple[int, ...] = (1,)
    adaptation: Adaptation = lambda theta: gradient_descent().step
    extra: Callable[[Parameters], Parameters] = lambda parameters: {}
    extra_learning_rate: float = 0.0


METHODS = {
    "maml": Method("MAML", maml, 8_000, inner_steps=(1, 1, 1, 3)),
    "fomaml": Method("FOMAML", partial(maml, first_order=True), 8_000, inner_steps=(1, 1, 1, 3)),
    "reptile": Method("Reptile", reptile, 8_000),
    "maml_pp": Method(
        "MAML++",
        maml_pp,
        4_000,
        learning_rate=2e-3,
        inner_steps=(MAML_PP_STEPS,),
        adaptation=lambda theta: learned_descent().step,
        extra=learned_descent().entries,
        extra_learning_rate=2e-6,
    ),
    "imaml": Method(
        "iMAML",
        partial(imaml, regularisation=IMAML_REGULARISATION, solver_steps=16, cg_iterations=5),
        2_500,
        learning_rate=1e-3,
        adaptation=partial(proximal_step, regularisation=IMAML_REGULARISATION),
    ),
    "pre_training": Method("pre-training", pre_training, 5_000),
}


def train(method: Method, seed: int, iterations: Iterable[int], number: int) -> Parameters:
    """The meta-parameters after training.

    Args:
        iterations: 0, 1, ..., number - 1, e.g. a progress bar.

    Raises:
        TrainingError: a gradient is not finite.
    """
    generator = torch.Generator().manual_seed(seed)
    start = initial_parameters(generator)
    both = {method.learning_rate: start, method.extra_learning_rate: method.extra(start)}
    groups = {rate: group for rate, group in both.items() if group}
    states = {rate: adam_start(group) for rate, group in groups.items()}
    with torch.no_grad():
        for iteration in iterations:
            theta = _joined(groups.values())
            inner_steps = method.inner_steps[iteration % len(method.inner_steps)]
            gradient = method.gradient(theta, sample_batch(generator, inner_steps), iteration / number)
            if not torch.isfinite(flatten(gradient)).all():
                raise TrainingError(f"{method.title}: the gradient is not finite in iteration {iteration}")
            up = {name: -value for name, value in gradient.items()}
            for largest, group in groups.items():
                rate = scheduled("cosine", largest, 0.0, number, iteration)
                groups[largest], states[largest] = adam_ascent(group, states[largest], up, rate)
    return _joined(groups.values())


def _joined(groups: Iterable[Parameters]) -> Parameters:
    return {name: value for group in groups for name, value in group.items()}


def sample_batch(generator: torch.Generator, inner_steps: int) -> SinusoidBatch:
    """Every inner step on the same points, as in the paper."""
    tasks = sample_tasks(TASKS, generator)
    support, query = tasks.points(SHOTS, generator), tasks.points(QUERY_POINTS, generator)
    return SinusoidBatch((support,) * inner_steps, query)


def adaptation_errors(method: Method, theta: Parameters, tasks: Sinusoids, support: Points) -> Tensor:
    """Mean squared error over the domain after 0, 1, ..., 10 steps on the same points; [task, step + 1]."""
    step = method.adaptation(theta)

    def of_task(points: Points, curve: Points) -> Tensor:
        path = inner_path(step, theta, [points] * EVALUATION_STEPS)
        return torch.stack([mean_squared_error(parameters, curve) for parameters in path])

    number = len(support.x)
    curves = tasks.at(grid().expand(number, -1, -1))
    with torch.no_grad():
        errors: Tensor = TaskMap(chunk_size=100, threads=1)(of_task, support, curves, tasks=number)
    return errors


def adapted_curves(method: Method, theta: Parameters, support: Points) -> Tensor:
    """The network's values on the grid after 0, 1, ..., 10 steps on one task's points; [step + 1, point]."""
    with torch.no_grad():
        path = inner_path(method.adaptation(theta), theta, [support] * EVALUATION_STEPS)
        return torch.stack([predict(parameters, grid()).squeeze(-1) for parameters in path])
