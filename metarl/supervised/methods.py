"""What each algorithm gives its outer Adam step on sinusoid regression, every one by metarl's inner rule.

Every method sees the same points of a task in training: 10 of the support and 40 of the query.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from metarl.compute.task_map import TaskMap
from metarl.math.implicit import proximal_loss
from metarl.math.parameters import Parameters
from metarl.meta_learners.gains import final_gain, multi_step_weights, weighted_sum
from metarl.meta_learners.inner.gradient_rules import gradient_rule, learned_layer_sizes
from metarl.meta_learners.inner.gradient_step import InnerStep
from metarl.meta_learners.inner.implicit_rule import Solver, implicit_rule
from metarl.meta_learners.inner.meta_gradient import Gain, Path
from metarl.meta_learners.inner.rule import InnerRule
from metarl.meta_learners.reptile import mean_displacement
from metarl.supervised.sinusoids import Points, SinusoidBatch, mean_squared_error

STEP_SIZE = 0.01
SHOTS = 10
MAML_PP_STEPS = 5
ALL_AT_ONCE = TaskMap(chunk_size=None, threads=1)

Gradient = Callable[[Parameters, SinusoidBatch, float], Parameters]
"""(meta-parameters, a batch, the share of training that is over) -> what Adam descends along."""
Adaptation = Callable[[Parameters], InnerStep[Points]]
"""Meta-parameters -> the inner step of an adaptation that starts there."""


def gradient_descent(*, first_order: bool = False) -> InnerRule[Points]:
    """theta' = theta - alpha grad L(theta; points), alpha 0.01 (Finn et al. 2017, eq. 1)."""
    return gradient_rule(mean_squared_error, lambda k: STEP_SIZE, first_order=lambda k: first_order)


def learned_descent() -> InnerRule[Points]:
    """theta^{k+1} = theta^k - alpha_{k, layer} grad L(theta^k), all alpha 0.01 at the start."""
    return learned_layer_sizes(mean_squared_error, lambda k: STEP_SIZE, MAML_PP_STEPS)


def maml(
    theta: Parameters, batch: SinusoidBatch, progress: float, *, first_order: bool = False
) -> Parameters:
    """grad_theta mean_i L(theta'_i; query_i) (Finn et al. 2017, algorithm 2)."""
    return _descent(gradient_descent(first_order=first_order), final_gain(_fit), theta, batch)


def maml_pp(theta: Parameters, batch: SinusoidBatch, progress: float) -> Parameters:
    """grad mean_i sum_k w_k L(theta^k_i; query_i), in theta and alpha; w moves to the last step in the first
    half of training (Antoniou et al. 2019, eq. 3 and section 4)."""
    weights = multi_step_weights(MAML_PP_STEPS, round(100 * progress), annealed_over=50)

    def gain(path: Path, support: Sequence[Points], query: Points) -> Tensor:
        return weighted_sum(_fit, weights, path, [query] * len(support))

    return _descent(learned_descent(), gain, theta, batch)


def reptile(theta: Parameters, batch: SinusoidBatch, progress: float, *, steps: int = 5) -> Parameters:
    """mean_i (theta - theta^K_i), every inner step on other points (Nichol et al. 2018, algorithm 2)."""
    query = batch.query
    further = map(Points, torch.split(query.x, SHOTS, dim=1), torch.split(query.y, SHOTS, dim=1))
    data = [batch.support[0], *further][:steps]
    step = gradient_descent(first_order=True).step
    mean = mean_displacement(step, theta, data, batch.tasks, ALL_AT_ONCE)
    return {name: -value for name, value in mean.items()}


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
    solver = Solver(solver_steps, cg_iterations, 1e-20, jointly=True)
    rule = implicit_rule(mean_squared_error, lambda k: STEP_SIZE, lambda k: regularisation, solver)
    return _descent(rule, final_gain(_fit), theta, batch)


def proximal_step(theta: Parameters, regularisation: float) -> InnerStep[Points]:
    """phi' = phi - alpha grad (L(phi; points) + lambda / 2 |phi - theta|^2) (eq. 3)."""
    problem = proximal_loss(mean_squared_error, theta, regularisation)
    return gradient_rule(problem, lambda k: STEP_SIZE, first_order=lambda k: True).step


def pre_training(theta: Parameters, batch: SinusoidBatch, progress: float) -> Parameters:
    """grad L(theta; the points of all tasks): one network for all, to be fine-tuned."""
    points = batch.support[0], batch.query
    pooled = Points(*(torch.cat(values, dim=1).flatten(0, 1) for values in zip(*points, strict=True)))
    gradient: Parameters = torch.func.grad(mean_squared_error)(theta, pooled)
    return gradient


def _fit(parameters: Parameters, points: Points) -> Tensor:
    """What is to be maximised."""
    return -mean_squared_error(parameters, points)


def _descent(
    rule: InnerRule[Points], gain: Gain[Points], theta: Parameters, batch: SinusoidBatch
) -> Parameters:
    """The gradient of the tasks' mean loss through a rule's steps."""
    found = rule.gradient(theta, batch, gain, ALL_AT_ONCE).gradient
    return {name: -value for name, value in found.items()}
