"""What each algorithm gives its outer Adam step on sinusoid regression, every one by metarl's inner rule.

Every method sees the same points of a task in training: 10 of the support and 40 of the query.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from metarl.compute.task_map import TaskMap
from metarl.math.implicit import implicit_gradient, proximal_loss
from metarl.math.parameters import Parameters
from metarl.meta_learners.imaml import minimise
from metarl.meta_learners.inner.gradient_step import Step, adapt, inner_step
from metarl.meta_learners.maml_pp import layer, multi_step_weights
from metarl.meta_learners.outer.meta_gradient import Path, meta_gradient
from metarl.supervised.sinusoids import Points, SinusoidBatch, mean_squared_error

STEP_SIZE = 0.01
SHOTS = 10
MAML_PP_STEPS = 5
ALL_AT_ONCE = TaskMap(chunk_size=None, threads=1)

Gradient = Callable[[Parameters, SinusoidBatch, float], Parameters]
"""(meta-parameters, a batch, the share of training that is over) -> what Adam descends along."""
Adaptation = Callable[[Parameters], Step[Points]]
"""Meta-parameters -> the inner step of an adaptation that starts there."""


def gradient_step(
    parameters: Parameters, points: Points, step: int, *, first_order: bool = False
) -> Parameters:
    """theta' = theta - alpha grad L(theta; points), alpha 0.01 (Finn et al. 2017, eq. 1)."""
    return inner_step(mean_squared_error, parameters, points, STEP_SIZE, first_order=first_order)


def maml(
    theta: Parameters, batch: SinusoidBatch, progress: float, *, first_order: bool = False
) -> Parameters:
    """grad_theta mean_i L(theta'_i; query_i) (Finn et al. 2017, algorithm 2)."""

    def gain(path: Path, support: Sequence[Points], query: Points) -> Tensor:
        return -mean_squared_error(path[-1], query)

    step = partial(gradient_step, first_order=first_order)
    return _descent(meta_gradient(step, gain, theta, batch, ALL_AT_ONCE).gradient)


def maml_pp(theta: Parameters, batch: SinusoidBatch, progress: float) -> Parameters:
    """grad mean_i sum_k w_k L(theta^k_i; query_i), in theta and alpha; w moves to the last step in the first
    half of training (Antoniou et al. 2019, eq. 3 and section 4)."""
    weights = torch.tensor(multi_step_weights(MAML_PP_STEPS, round(100 * progress), annealed_over=50))

    def gain(path: Path, support: Sequence[Points], query: Points) -> Tensor:
        losses = [mean_squared_error(parameters, query) for parameters in path[1:]]
        return -(weights * torch.stack(losses)).sum()

    return _descent(meta_gradient(learned_step, gain, theta, batch, ALL_AT_ONCE).gradient)


def learned_step(parameters: Parameters, points: Points, step: int) -> Parameters:
    """theta^{k+1} = theta^k - alpha_{k, layer} grad L(theta^k); the last sizes stay in later steps."""
    last = min(step, MAML_PP_STEPS - 1)
    own = [name for name in parameters if not name.startswith("step_size.")]
    sizes = {name: parameters[f"step_size.{last}.{layer(name)}"] for name in own}
    return inner_step(mean_squared_error, parameters, points, sizes, names=own)


def step_sizes(parameters: Parameters) -> Parameters:
    """One a layer and inner step, 0.01 at the start."""
    layers = dict.fromkeys(map(layer, parameters))
    return {f"step_size.{k}.{name}": torch.tensor(STEP_SIZE) for k in range(MAML_PP_STEPS) for name in layers}


def reptile(theta: Parameters, batch: SinusoidBatch, progress: float, *, steps: int = 5) -> Parameters:
    """mean_i (theta - theta^K_i), every inner step on other points (Nichol et al. 2018, algorithm 2)."""

    def displacement(support: Points, query: Points) -> Parameters:
        minibatches = [support, *map(Points, torch.split(query.x, SHOTS), torch.split(query.y, SHOTS))][
            :steps
        ]
        sizes = [STEP_SIZE] * len(minibatches)
        adapted = adapt(mean_squared_error, theta, minibatches, sizes, first_order=True)
        return {name: value - adapted[name] for name, value in theta.items()}

    return _mean(ALL_AT_ONCE(displacement, batch.support[0], batch.query, tasks=batch.tasks))


def imaml(
    theta: Parameters,
    batch: SinusoidBatch,
    progress: float,
    *,
    regularisation: float,
    solver_steps: int,
    cg_iterations: int,
) -> Parameters:
    """mean_i (I + H_i / lambda)^-1 grad L(phi_i; query_i) (Rajeswaran et al. 2019, eq. 6), phi_i the solution
    of a task's proximal problem. The tasks' Hessians H_i are the blocks of one linear system."""
    support = batch.support[0]
    problem = proximal_loss(mean_squared_error, theta, regularisation)

    def solve(points: Points) -> Parameters:
        return minimise(problem, theta, points, STEP_SIZE, solver_steps)

    phi = ALL_AT_ONCE(solve, support, tasks=batch.tasks)
    outer = ALL_AT_ONCE(torch.func.grad(mean_squared_error), phi, batch.query, tasks=batch.tasks)

    def all_tasks_loss(phi: Parameters, support: Points) -> Tensor:
        return torch.vmap(mean_squared_error)(phi, support).sum()

    found = implicit_gradient(all_tasks_loss, phi, support, outer, regularisation, cg_iterations, 1e-20)
    return _mean(found.gradient)


def proximal_step(theta: Parameters, regularisation: float) -> Step[Points]:
    """phi' = phi - alpha grad (L(phi; points) + lambda / 2 |phi - theta|^2) (eq. 3)."""
    problem = proximal_loss(mean_squared_error, theta, regularisation)

    def step(phi: Parameters, points: Points, k: int) -> Parameters:
        return inner_step(problem, phi, points, STEP_SIZE, first_order=True)

    return step


def pre_training(theta: Parameters, batch: SinusoidBatch, progress: float) -> Parameters:
    """grad L(theta; the points of all tasks): one network for all, to be fine-tuned."""
    points = batch.support[0], batch.query
    pooled = Points(*(torch.cat(values, dim=1).flatten(0, 1) for values in zip(*points, strict=True)))
    gradient: Parameters = torch.func.grad(mean_squared_error)(theta, pooled)
    return gradient


def _descent(gain_gradient: Parameters) -> Parameters:
    return {name: -value for name, value in gain_gradient.items()}


def _mean(gradients: Parameters) -> Parameters:
    """Over the leading task axis."""
    return {name: value.mean(0) for name, value in gradients.items()}
