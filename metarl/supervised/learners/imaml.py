"""iMAML (Rajeswaran et al. 2019): the adapted parameters solve a problem, and its solution is differentiated.

phi_i    = argmin_phi L(phi; support_i) + lambda / 2 |phi - theta|^2              (eq. 3)
gradient = mean_i (I + H_i / lambda)^-1 grad L(phi_i; query_i)                    (eq. 6)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jsonargparse.typing import PositiveFloat, PositiveInt
from torch import Tensor

from metarl.compute.task_map import TaskMap
from metarl.math.descent import descent_path
from metarl.math.implicit import proximal_loss
from metarl.math.parameters import Parameters
from metarl.meta_learners.inner.implicit_rule import Solver, implicit_rule
from metarl.meta_learners.inner.meta_gradient import MetaGradient
from metarl.supervised.examples import Episodes, Examples, repeated
from metarl.supervised.learners.learner import Learner, compose
from metarl.supervised.learners.settings import StepConfig
from metarl.supervised.model import Model


@dataclass(frozen=True)
class ImamlConfig(StepConfig):
    """iMAML.

    Args:
        inner_step_size: the size of the first of the solver's steps, of one gradient each, which an
            evaluation counts; L-BFGS makes the others of the curvature that was met.
        regularisation: lambda; a solution lies about gradient / lambda from the meta-parameters.
        solver_steps: steps that solve a task's problem in training.
        solution_cg_iterations: iterations of the conjugate gradient for the meta-gradient, at most.
        solution_cg_tolerance: the share of the outer gradient's squared norm at which its squared residual
            is small enough.
    """

    regularisation: PositiveFloat = 2.0
    solver_steps: PositiveInt = 16
    solution_cg_iterations: PositiveInt = 5
    solution_cg_tolerance: PositiveFloat = 1e-6


def imaml(model: Model, config: ImamlConfig, task_map: TaskMap) -> Learner:
    """The learner phi_i = argmin L_i + lambda / 2 |phi - theta|^2, phi' = (I + H / lambda)^-1."""
    strength, size = float(config.regularisation), float(config.inner_step_size)
    solver = Solver(
        int(config.solver_steps),
        int(config.solution_cg_iterations),
        float(config.solution_cg_tolerance),
        lambda *problem: descent_path(*problem)[-1],
    )
    rule = implicit_rule(model.loss, config.step_size, lambda k: strength, solver)

    def direction(theta: Parameters, episodes: Episodes, updates: int) -> MetaGradient:
        return rule.gradient(theta, repeated(episodes, 1), model.gain, task_map)

    def predict(parameters: Parameters, support: Examples, x: Tensor, steps: int) -> Tensor:
        problem = proximal_loss(model.loss, parameters, strength)
        path = descent_path(problem, parameters, support, size, steps)
        return torch.stack([model.network.apply_beside(at, support.x, x) for at in path])

    return compose(model.network.initial_parameters, direction, config.adam, predict)
