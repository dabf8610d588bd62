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
from typing import Any, NamedTuple

import torch
from torch import Tensor

from metarl.compute.task_map import TaskMap
from metarl.math.implicit import implicit_gradients, proximal_loss
from metarl.math.parameters import Parameters, difference, flatten
from metarl.meta_learners.inner.gradient_step import Data, Loss, inner_path, inner_step
from metarl.meta_learners.inner.meta_gradient import Gain, MetaGradient, TaskBatch, mean_gradient
from metarl.meta_learners.inner.rule import InnerRule, Linearised, no_entries

OfStep = Callable[[int], float]
"""The number of an inner step, from 0 -> a setting."""


Minimise = Callable[[Loss[Any], Parameters, Any, float, int], Parameters]
"""(one task's problem, where to start, its data, step size, steps) -> what minimises the problem."""


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


class Solver(NamedTuple):
    """How the problems are solved.

    Args:
        steps: gradient steps for an inner problem, at most.
        cg_iterations: of the conjugate gradient for the meta-gradient, at most.
        cg_tolerance: the share of the outer gradient's squared norm at which its squared residual is small
            enough.
        minimise: the solver of an inner problem.
    """

    steps: int
    cg_iterations: int
    cg_tolerance: float
    minimise: Minimise = minimise


def implicit_rule(loss: Loss[Data], size: OfStep, strength: OfStep, solver: Solver) -> InnerRule[Data]:
    """phi = argmin L + lambda / 2 |phi - theta|^2, and phi' = (I + H / lambda)^-1.

    The curvature takes the Jacobian of the adaptation for the identity, as a first-order rule's does.

    Args:
        size: of the solver's gradient steps.
        strength: lambda.
    """

    def step(theta: Parameters, data: Data, k: int) -> Parameters:
        return solver.minimise(proximal_loss(loss, theta, strength(k)), theta, data, size(k), solver.steps)

    def of_tasks(
        theta: Parameters, gain: Gain[Data], support: Sequence[Data], query: Data
    ) -> tuple[Parameters, Tensor, dict[str, Tensor]]:
        with torch.no_grad():
            path = torch.vmap(partial(inner_path, step, theta))(support)

        def slope(phi: Parameters, support: Sequence[Data], query: Data) -> Any:
            return torch.func.grad_and_value(lambda at: gain([at], support, query))(phi)

        gradients, values = torch.vmap(slope)(path[-1], support, query)
        systems, problems = [], []
        for k in reversed(range(len(support))):
            centres, solutions, data = path[k], path[k + 1], support[k]
            gradients, residuals = implicit_gradients(
                loss, solutions, data, gradients, strength(k), solver.cg_iterations, solver.cg_tolerance
            )
            systems.append(residuals)
            left_over = partial(_relative_residual, loss, strength(k))
            problems.append(torch.vmap(left_over)(solutions, centres, data))
        worst = {"solution_cg_residual": systems, "inner_residual": problems}
        return gradients, values, {name: torch.stack(found).amax(0) for name, found in worst.items()}

    def gradient(
        theta: Parameters, batch: TaskBatch[Data], gain: Gain[Data], task_map: TaskMap
    ) -> MetaGradient:
        gradients, values, residuals = task_map.by_chunks(
            partial(of_tasks, theta, gain), batch.support, batch.query, tasks=batch.tasks
        )
        worst = {name: task_map.reduction.gather(found).max().item() for name, found in residuals.items()}
        return mean_gradient(gradients, values, task_map, worst)

    def linearised(theta: Parameters, batch: TaskBatch[Data], task_map: TaskMap) -> Linearised:
        def move(support: Sequence[Data]) -> Parameters:
            return difference(inner_path(step, theta, support)[-1], theta)

        def moved(at: Parameters, move: Parameters) -> Parameters:
            return {name: value + move[name] for name, value in at.items()}

        with torch.no_grad():
            moves = task_map(move, batch.support, tasks=batch.tasks)
        return Linearised(moved, moves)

    return InnerRule(step, gradient, linearised, no_entries)


def _distance(one: Parameters, other: Parameters) -> Tensor:
    return torch.stack([value.square().sum() for value in difference(one, other).values()]).sum().sqrt()


def _relative_residual(
    loss: Loss[Data], regularisation: float, solution: Parameters, centre: Parameters, data: Data
) -> Tensor:
    """How far from solved: the problem's gradient at the solution, relative to that at the centre; scalar."""
    slope = torch.func.grad(proximal_loss(loss, centre, regularisation))
    left, whole = (flatten(slope(at, data)) for at in (solution, centre))
    relative: Tensor = left.norm() / whole.norm().clamp(min=1e-30)
    return relative
