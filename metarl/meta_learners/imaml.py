"""iMAML (Rajeswaran et al. 2019): the adapted parameters solve a problem, and its solution is differentiated.

phi(theta) = argmin_phi L(phi; support) + lambda / 2 |phi - theta|^2     (eq. 3)
phi'(theta) = (I + H / lambda)^-1, H the Hessian of L at phi             (eq. 6)

Neither needs the path to the solution, so that memory does not grow with the number of solver steps.
K inner steps chain K such problems, each on fresh episodes and around the last one's solution, as a
proximal point method does; around theta again, a second step would undo the first once its episodes,
sampled by adapted policies, ask for no further change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jsonargparse.typing import PositiveFloat, PositiveInt
from torch import Tensor

from metarl.compute.task_map import TaskMap
from metarl.math.implicit import implicit_gradient, proximal_loss
from metarl.math.parameters import Parameters, flatten
from metarl.meta_learners.gradient_learner import GradientConfig, GradientLearner, refuse_unread
from metarl.meta_learners.inner.gradient_step import Data, Loss, inner_path, inner_step
from metarl.meta_learners.outer.curvature import CurvatureProduct, generic_curvature_product
from metarl.meta_learners.outer.meta_gradient import Gain, MetaGradient, mean_gradient
from metarl.objectives.policy_gradient import Objective, inner_loss
from metarl.policies.policy import Policy
from metarl.rollouts.rollout import Batch, MetaBatch, select_task


@dataclass(frozen=True)
class ImamlConfig(GradientConfig):
    """iMAML.

    Args:
        regularisation: lambda; a solution lies about gradient / lambda from its centre. Steps after the
            first divide it by `later_step_scale`.
        solver_steps: gradient steps of size `inner_step_size` that solve an inner problem, at most.
        solution_cg_iterations: of the conjugate gradient for the meta-gradient, at most.
        solution_cg_tolerance: the share of the outer gradient's squared norm at which its squared residual
            is small enough.
    """

    regularisation: PositiveFloat = 2.0
    solver_steps: PositiveInt = 10
    solution_cg_iterations: PositiveInt = 10
    solution_cg_tolerance: PositiveFloat = 1e-6

    def strength(self, step: int) -> float:
        """The regularisation of inner step number `step`, from 0: it shrinks as its step size does."""
        return float(self.regularisation) * self.step_size(0) / self.step_size(step)


def imaml(policy: Policy, config: ImamlConfig, task_map: TaskMap) -> GradientLearner:
    """The meta-learner. Its trust region measures distance by the adapted policies' Fisher matrices alone,
    as a first-order learner's does; the line search still judges the adapted policies themselves.

    Raises:
        ConfigError: a setting of the path to the solution, which is not differentiated.
    """
    refuse_unread(config, "imaml", ["first_order", "differentiated_steps", "recompute"])
    loss = inner_loss(policy, config.inner_objective)

    def step(theta: Parameters, batch: Batch, k: int, first_order: bool) -> Parameters:
        problem = proximal_loss(loss, theta, config.strength(k))
        return minimise(problem, theta, batch, config.step_size(k), int(config.solver_steps))

    def solve(theta: Parameters, support: Sequence[Batch]) -> list[Parameters]:
        return inner_path(lambda at, data, k: step(at, data, k, True), theta, support)

    def of_task(
        theta: Parameters, gain: Gain[Batch], support: Sequence[Batch], query: Batch
    ) -> tuple[Parameters, Tensor, dict[str, float]]:
        with torch.no_grad():
            path = solve(theta, support)
        gradient, value = torch.func.grad_and_value(lambda phi: gain([phi], support, query))(path[-1])
        residuals: list[tuple[float, float]] = []
        for k in reversed(range(len(support))):
            strength, solution = config.strength(k), path[k + 1]
            gradient, residual = implicit_gradient(
                loss,
                solution,
                support[k],
                gradient,
                strength,
                int(config.solution_cg_iterations),
                float(config.solution_cg_tolerance),
            )
            problem = proximal_loss(loss, path[k], strength)
            residuals.append((residual, _relative_residual(problem, solution, path[k], support[k])))
        of_systems, of_problems = (max(worst) for worst in zip(*residuals, strict=True))
        return gradient, value, {"solution_cg_residual": of_systems, "inner_residual": of_problems}

    def gradient(theta: Parameters, batch: MetaBatch, gain: Gain[Batch]) -> MetaGradient:
        def run(task: int) -> tuple[Parameters, Tensor, dict[str, float]]:
            support = [select_task(data, task) for data in batch.support]
            return of_task(theta, gain, support, select_task(batch.query, task))

        results = task_map.run([partial(run, task) for task in range(batch.tasks)])
        gradients = {name: torch.stack([found[name] for found, _, _ in results]) for name in theta}
        worst = {key: max(found[key] for _, _, found in results) for key in results[0][2]}
        return mean_gradient(gradients, torch.stack([value for _, value, _ in results]), worst)

    def curvature(theta: Parameters, batch: MetaBatch) -> CurvatureProduct:
        def move(support: Sequence[Batch]) -> Parameters:
            solution = solve(theta, support)[-1]
            return {name: value - theta[name] for name, value in solution.items()}

        with torch.no_grad():
            moves = task_map(move, batch.support, tasks=batch.tasks)

        def moved(at: Parameters, move: Parameters) -> Parameters:
            return {name: value + move[name] for name, value in at.items()}

        return generic_curvature_product(policy, moved, theta, moves, batch.query, task_map.chunk_size)

    return GradientLearner(policy, config, task_map, step, gradient=gradient, curvature=curvature)


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
    return torch.stack([(value - other[name]).square().sum() for name, value in one.items()]).sum().sqrt()


def _relative_residual(problem: Objective, solution: Parameters, centre: Parameters, batch: Batch) -> float:
    """How far from solved: the problem's gradient at the solution, relative to that at the centre."""
    left, whole = (torch.func.grad(problem)(at, batch) for at in (solution, centre))
    return float(flatten(left).norm() / flatten(whole).norm().clamp(min=1e-30))
