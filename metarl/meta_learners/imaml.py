"""iMAML (Rajeswaran et al. 2019): the adapted parameters solve a problem, and its solution is differentiated.

phi_i   = argmin_phi L(phi; support_i) + lambda / 2 |phi - theta|^2          (eq. 3)
grad J  = mean_i (I + H_i / lambda)^-1 grad surrogate(phi_i; query_i)        (eq. 6)

with H_i the Hessian of L at phi_i.

Neither needs the path to the solution, so that memory does not grow with the number of steps. With K
inner steps each solves the problem anew on fresh episodes, from where the last one stopped, around the
same theta; the gradient is that of the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jsonargparse.typing import PositiveFloat, PositiveInt
from torch import Tensor

from metarl.adaptation import inner_step
from metarl.math.implicit import implicit_gradient, proximal_loss
from metarl.math.parameters import Parameters, flatten, select
from metarl.math.task_map import TaskMap
from metarl.meta_learners.curvature import CurvatureProduct, generic_curvature_product
from metarl.meta_learners.gradient_learner import GradientConfig, GradientLearner
from metarl.meta_learners.meta_gradient import Gain, MetaGradient, inner_path, mean_gradient
from metarl.objectives import InnerObjective, Objective, inner_loss
from metarl.policies.gaussian_mlp import Policy
from metarl.rollout import Batch, MetaBatch, select_task

CENTRE = "centre."


@dataclass(frozen=True)
class ImamlConfig(GradientConfig):
    """iMAML.

    Args:
        regularisation: lambda; small values let the adapted parameters go far.
        solver_steps: gradient steps of size `inner_step_size` that solve an inner problem.
        solution_cg_iterations, solution_cg_tolerance: of the conjugate gradient for the meta-gradient.
    """

    inner_objective: InnerObjective = "lvc"
    regularisation: PositiveFloat = 2.0
    solver_steps: PositiveInt = 10
    solution_cg_iterations: PositiveInt = 10
    solution_cg_tolerance: PositiveFloat = 1e-6


def imaml(policy: Policy, config: ImamlConfig, task_map: TaskMap) -> GradientLearner:
    """The meta-learner. Its trust region measures distance by the adapted policies' Fisher matrices alone,
    as a first-order learner's does; the line search still judges the adapted policies themselves."""
    loss = inner_loss(policy, config.inner_objective)
    strength = float(config.regularisation)

    def step(parameters: Parameters, batch: Batch, k: int, first_order: bool) -> Parameters:
        moving = own(parameters)
        centre = {name: parameters.get(CENTRE + name, value) for name, value in moving.items()}
        problem = proximal_loss(loss, centre, strength)
        for _ in range(config.solver_steps):
            moving = inner_step(problem, moving, batch, config.step_size(k), first_order=True)
        return {**moving, **{CENTRE + name: value for name, value in centre.items()}}

    def solve(theta: Parameters, support: Sequence[Batch]) -> Parameters:
        return own(inner_path(lambda at, data, k: step(at, data, k, True), theta, support)[-1])

    def solutions(theta: Parameters, batch: MetaBatch) -> Parameters:
        with torch.no_grad():
            found: Parameters = task_map(solve, batch.support, shared=(theta,), tasks=batch.tasks)
        return found

    def gradient(theta: Parameters, batch: MetaBatch, gain: Gain[Batch]) -> MetaGradient:
        solved = solutions(theta, batch)
        problem = proximal_loss(loss, theta, strength)

        def of_task(task: int) -> tuple[Parameters, Tensor, dict[str, float]]:
            solution, query = select(solved, task), select_task(batch.query, task)
            support = [select_task(data, task) for data in batch.support]
            outer, value = torch.func.grad_and_value(lambda phi: gain([phi], support, query))(solution)
            through = implicit_gradient(
                loss,
                solution,
                support[-1],
                outer,
                strength,
                int(config.solution_cg_iterations),
                float(config.solution_cg_tolerance),
            )
            unsolved = _relative_residual(problem, solution, theta, support[-1])
            residuals = {"solution_cg_residual": through.residual, "inner_residual": unsolved}
            return through.gradient, value, residuals

        results = task_map.run([partial(of_task, task) for task in range(batch.tasks)])
        gradients = {name: torch.stack([found[name] for found, _, _ in results]) for name in theta}
        worst = {key: max(found[key] for _, _, found in results) for key in results[0][2]}
        return mean_gradient(gradients, torch.stack([value for _, value, _ in results]), worst)

    def curvature(theta: Parameters, batch: MetaBatch) -> CurvatureProduct:
        moves = {name: value - theta[name] for name, value in solutions(theta, batch).items()}

        def moved(at: Parameters, move: Parameters) -> Parameters:
            return {name: value + move[name] for name, value in at.items()}

        return generic_curvature_product(policy, moved, theta, moves, batch.query, task_map.chunk_size)

    return GradientLearner(policy, config, task_map, step, gradient=gradient, curvature=curvature)


def own(parameters: Parameters) -> Parameters:
    """The policy's parameters, without the centre that adaptation carries along."""
    return {name: value for name, value in parameters.items() if not name.startswith(CENTRE)}


def _relative_residual(problem: Objective, solution: Parameters, centre: Parameters, batch: Batch) -> float:
    """How far from solved: the problem's gradient at the solution, relative to that at the centre."""
    left, whole = (torch.func.grad(problem)(at, batch) for at in (solution, centre))
    return float(flatten(left).norm() / flatten(whole).norm().clamp(min=1e-30))
