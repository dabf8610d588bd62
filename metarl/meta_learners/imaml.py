"""iMAML (Rajeswaran et al. 2019): the adapted parameters solve a problem, and its solution is differentiated.

phi_i    = argmin_phi L(phi; support_i) + lambda / 2 |phi - theta|^2     (eq. 3)
J(theta) = mean_i surrogate(phi_i(theta); query_i), phi' = (I + H / lambda)^-1   (eq. 6)
"""

from __future__ import annotations

from dataclasses import dataclass

from jsonargparse.typing import PositiveFloat, PositiveInt

from metarl.compute.task_map import TaskMap
from metarl.meta_learners.gradient_learner import gradient_learner
from metarl.meta_learners.inner.implicit_rule import Solver, implicit_rule
from metarl.meta_learners.inner.rule import InnerRule
from metarl.meta_learners.learner import MetaLearner
from metarl.meta_learners.settings import InnerSteps, OuterChoice
from metarl.objectives.policy_gradient import inner_loss
from metarl.policies.policy import Policy
from metarl.rollouts.rollout import Batch


@dataclass(frozen=True)
class ImamlConfig(OuterChoice, InnerSteps):
    """iMAML.

    Args:
        regularisation: lambda; a solution lies about gradient / lambda from its centre. Steps after the
            first divide it by `later_step_scale`.
        solver_steps: gradient steps of size `inner_step_size` that solve an inner problem, at most.
        solution_cg_iterations: iterations of the conjugate gradient for the meta-gradient, at most.
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


def imaml(policy: Policy, config: ImamlConfig, task_map: TaskMap) -> MetaLearner:
    """The meta-learner phi_i = argmin L_i + lambda / 2 |phi - theta|^2, phi' = (I + H / lambda)^-1.

    Its trust region measures distance by the adapted policies' Fisher matrices alone, as a first-order
    learner's does; the line search still judges the adapted policies themselves.
    """
    return gradient_learner(policy, config, int(config.inner_steps), solution_rule(policy, config), task_map)


def solution_rule(policy: Policy, config: ImamlConfig) -> InnerRule[Batch]:
    """phi = argmin L + lambda / 2 |phi - theta|^2."""
    solver = Solver(
        int(config.solver_steps), int(config.solution_cg_iterations), float(config.solution_cg_tolerance)
    )
    loss = inner_loss(policy, config.inner_objective)
    return implicit_rule(loss, config.step_size, config.strength, solver)
