"""The inner rule that solves a proximal problem, whose solution is differentiated (Rajeswaran et al. 2019).

phi(theta) = argmin_phi L(phi; support) + lambda / 2 |phi - theta|^2     (eq. 3)
phi'(theta) = (I + H / lambda)^-1, H the Hessian of L at phi             (eq. 6)

Neither needs the path to the solution, so that memory does not grow with the number of solver steps.
K inner steps chain K such problems, each on fresh data and around the last one's solution, as a
proximal point method does; around theta again, a second step would undo the first once its data,
sampled by adapted policies, ask for no further change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from metarl.compute.task_map import TaskMap, select_task
from metarl.math.implicit import implicit_gradient, proximal_loss
from metarl.math.parameters import Parameters, difference, flatten
from metarl.meta_learners.inner.gradient_step import Data, Loss, inner_path, inner_step
from metarl.meta_learners.inner.meta_gradient import Gain, MetaGradient, TaskBatch, mean_gradient
from metarl.meta_learners.inner.rule import InnerRule, Linearised, no_entries

OfStep = Callable[[int], float]
"""The number of an inner step, from 0 -> a setting."""


class Solver(NamedTuple):
    """How the problems are solved.

    Args:
        steps: gradient steps for an inner problem, at most.
        cg_iterations: of the conjugate gradient for the meta-gradient, at most.
        cg_tolerance: the share of the outer gradient's squared norm at which its squared residual is small
            enough.
    """

    steps: int
    cg_iterations: int
    cg_tolerance: float


def implicit_rule(loss: Loss[Data], size: OfStep, strength: OfStep, solver: Solver) -> InnerRule[Data]:
    """phi = argmin L + lambda / 2 |phi - theta|^2, and phi' = (I + H / lambda)^-1.

    The curvature takes the Jacobian of the adaptation for the identity, as a first-order rule's does.

    Args:
        size: of the solver's gradient steps.
        strength: lambda.
    """

    def step(theta: Parameters, data: Data, k: int) -> Parameters:
        return minimise(proximal_loss(loss, theta, strength(k)), theta, data, size(k), solver.steps)

    def of_task(
        theta: Parameters, gain: Gain[Data], support: Sequence[Data], query: Data
    ) -> tuple[Parameters, Tensor, dict[str, float]]:
        with torch.no_grad():
            path = inner_path(step, theta, support)
        gradient, value = torch.func.grad_and_value(lambda phi: gain([phi], support, query))(path[-1])
        residuals: list[tuple[float, float]] = []
        for k in reversed(range(len(support))):
            centre, solution, data = path[k], path[k + 1], support[k]
            gradient, residual = implicit_gradient(
                loss, solution, data, gradient, strength(k), solver.cg_iterations, solver.cg_tolerance
            )
            problem = proximal_loss(loss, centre, strength(k))
            residuals.append((residual, _relative_residual(problem, solution, centre, data)))
        of_systems, of_problems = (max(worst) for worst in zip(*residuals, strict=True))
        return gradient, value, {"solution_cg_residual": of_systems, "inner_residual": of_problems}

    def gradient(
        theta: Parameters, batch: TaskBatch[Data], gain: Gain[Data], task_map: TaskMap
    ) -> MetaGradient:
        def run(task: int) -> tuple[Parameters, Tensor, dict[str, float]]:
            support, query = select_task((batch.support, batch.query), task)
            return of_task(theta, gain, support, query)

        results = task_map.run([partial(run, task) for task in range(batch.tasks)])
        gradients = {name: torch.stack([found[name] for found, _, _ in results]) for name in theta}
        residuals = {key: torch.tensor([found[key] for _, _, found in results]) for key in results[0][2]}
        worst = {key: task_map.reduction.gather(found).max().item() for key, found in residuals.items()}
        return mean_gradient(gradients, torch.stack([value for _, value, _ in results]), task_map, worst)

    def linearised(theta: Parameters, batch: TaskBatch[Data], task_map: TaskMap) -> Linearised:
        def move(support: Sequence[Data]) -> Parameters:
            return difference(inner_path(step, theta, support)[-1], theta)

        def moved(at: Parameters, move: Parameters) -> Parameters:
            return {name: value + move[name] for name, value in at.items()}

        with torch.no_grad():
            moves = task_map(move, batch.support, tasks=batch.tasks)
        return Linearised(moved, moves)

    return InnerRule(step, gradient, linearised, no_entries)


def minimise(problem: Loss[Data], start: Parameters, data: Data, step_size: float, steps: int) -> Parameters:
    """Gradient descent, as far as every step is at most as long as the first.

    On a convex problem none is longer, with a step size that is stable; where one is, descent would only
    leave the neighbourhood that the problem describes.
    """
    phi = inner_step(problem, start, data, step_size, first_order=True)
    longest = _distance(phi, start)
    for _ in range(steps - 1):
        further = inner_step(problem, phi, data, step_size, first_order=True)
        taken = _distance(further, phi) <= longest
        phi = {name: torch.where(taken, value, phi[name]) for name, value in further.items()}
    return phi


def _distance(one: Parameters, other: Parameters) -> Tensor:
    return torch.stack([value.square().sum() for value in difference(one, other).values()]).sum().sqrt()


def _relative_residual(problem: Loss[Data], solution: Parameters, centre: Parameters, data: Data) -> float:
    """How far from solved: the problem's gradient at the solution, relative to that at the centre."""
    left, whole = (torch.func.grad(problem)(at, data) for at in (solution, centre))
    return float(flatten(left).norm() / flatten(whole).norm().clamp(min=1e-30))
