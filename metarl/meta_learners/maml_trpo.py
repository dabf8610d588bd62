"""MAML-TRPO (Finn et al. 2017, algorithm 3), and its first-order form.

theta'_i = theta - alpha grad L(theta; support_i)
J(theta) = mean_i surrogate(theta'_i(theta); query_i)
theta   <- trust-region step on J, with the Hessian of mean KL(behaviour_i || pi_{theta'_i(theta)})
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jsonargparse.typing import PositiveFloat, PositiveInt
from torch import Tensor

from metarl.adaptation import adapt, inner_step
from metarl.errors import NonFiniteError
from metarl.math.parameters import Parameters, flatten, unflatten
from metarl.math.task_map import TaskMap
from metarl.meta_learners.curvature import CurvatureProduct, generic_curvature_product
from metarl.meta_learners.learner import LearnerState, Update
from metarl.meta_learners.mlp_curvature import InnerRule, mlp_curvature_product
from metarl.meta_learners.trust_region import Evaluation, TrustRegionConfig, trust_region_step
from metarl.objectives import InnerObjective, inner_loss, mean_kl, surrogate
from metarl.policies.gaussian_mlp import GaussianMLP, Policy
from metarl.rollout import Batch, MetaBatch


@dataclass(frozen=True)
class MamlTrpoConfig:
    """MAML-TRPO.

    Args:
        inner_step_size: alpha.
        later_step_scale: multiplies alpha after the first inner step, in training and adaptation; the
            original evaluation halves it.
        inner_steps: gradient steps of the adaptation, each on fresh episodes.
        inner_objective: "vpg" or "lvc".
        first_order: FOMAML: treat the inner gradient as a constant.
        trust_region: the outer step.
    """

    inner_step_size: PositiveFloat = 0.1
    later_step_scale: PositiveFloat = 1.0
    inner_steps: PositiveInt = 1
    inner_objective: InnerObjective = "vpg"
    first_order: bool = False
    trust_region: TrustRegionConfig = field(default_factory=TrustRegionConfig)

    def step_size(self, step: int) -> float:
        """The size of inner step number `step`, from 0."""
        scale = 1.0 if step == 0 else self.later_step_scale
        return float(self.inner_step_size * scale)

    @property
    def step_sizes(self) -> list[float]:
        return [self.step_size(step) for step in range(self.inner_steps)]


class MamlTrpo:
    """The meta-learner (`MetaLearner`)."""

    def __init__(self, policy: Policy, config: MamlTrpoConfig, task_map: TaskMap) -> None:
        self.inner_steps = config.inner_steps
        self._map = task_map
        self._policy = policy
        self._config = config
        self._loss = inner_loss(policy, config.inner_objective)
        self._surrogate = surrogate(policy)
        self._kl = mean_kl(policy)

    def initial_state(self, generator: torch.Generator) -> LearnerState:
        return LearnerState(self._policy.initial_parameters(generator))

    def inner_step(self, parameters: Parameters, batch: Batch, step: int) -> Parameters:
        size, first_order = self._config.step_size(step), self._config.first_order
        return inner_step(self._loss, parameters, batch, size, first_order=first_order)

    def update(self, state: LearnerState, batch: MetaBatch) -> Update:
        theta = state.parameters
        surrogate_before, gradient = self._meta_gradient(theta, batch)
        result = trust_region_step(
            flatten(theta),
            gradient,
            surrogate_before,
            self._curvature_product(theta, batch),
            lambda candidate: self._evaluate(unflatten(candidate, theta), batch),
            self._config.trust_region,
        )
        metrics = {
            "surrogate_before": surrogate_before,
            "meta_gradient_norm": torch.linalg.vector_norm(gradient).item(),
            **result.metrics,
        }
        return Update(LearnerState(unflatten(result.parameters, theta)), metrics, result.rejection)

    def _adapt(self, parameters: Parameters, support: tuple[Batch, ...]) -> Parameters:
        sizes = self._config.step_sizes
        return adapt(self._loss, parameters, support, sizes, first_order=self._config.first_order)

    def _meta_gradient(self, parameters: Parameters, batch: MetaBatch) -> tuple[float, Tensor]:
        """J and its gradient [D], the tasks' mean."""

        def gain(theta: Parameters, support: tuple[Batch, ...], query: Batch) -> Tensor:
            return self._surrogate(self._adapt(theta, support), query)

        gradients, gains = self._map(
            torch.func.grad_and_value(gain), *batch, shared=(parameters,), tasks=batch.tasks
        )
        for name, values in gradients.items():
            finite = torch.isfinite(values.flatten(1)).all(1)
            if not finite.all():
                raise NonFiniteError(f"a meta-gradient of {name}", int((~finite).nonzero()[0]))
        return gains.mean().item(), flatten({name: value.mean(0) for name, value in gradients.items()})

    def _curvature_product(self, parameters: Parameters, batch: MetaBatch) -> CurvatureProduct:
        config = self._config
        if isinstance(self._policy, GaussianMLP) and batch.query.actions.device.type == "cpu":
            rule = InnerRule(config.inner_objective, self._loss, config.step_sizes, config.first_order)
            return mlp_curvature_product(self._policy, rule, parameters, batch, self._map)
        return generic_curvature_product(self._policy, self._adapt, parameters, batch, self._map.chunk_size)

    def _evaluate(self, parameters: Parameters, batch: MetaBatch) -> Evaluation:
        def measure(support: tuple[Batch, ...], query: Batch) -> tuple[Tensor, Tensor]:
            adapted = self._adapt(parameters, support)
            return self._surrogate(adapted, query), self._kl(adapted, query)

        with torch.no_grad():
            gains, divergences = self._map(measure, *batch, tasks=batch.tasks)
        return Evaluation(gains.mean().item(), divergences.mean().item())
