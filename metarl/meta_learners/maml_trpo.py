"""MAML-TRPO (Finn et al. 2017, algorithm 3), and its first-order form.

    theta'_i = theta - alpha grad L(theta; support_i)
    J(theta) = mean_i surrogate(theta'_i(theta); query_i)
    theta   <- trust-region step on J, with the Hessian of mean KL(behaviour_i || pi_{theta'_i(theta)})
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from metarl.adaptation import adapt
from metarl.errors import NonFiniteError
from metarl.math.parameters import Parameters, flatten, unflatten
from metarl.meta_learners.curvature import CurvatureProduct, generic_curvature_product
from metarl.meta_learners.mlp_curvature import InnerStep, mlp_curvature_product
from metarl.meta_learners.trust_region import Evaluation, TrustRegionConfig, trust_region_step
from metarl.objectives import InnerObjective, inner_loss, mean_kl, surrogate
from metarl.policies.gaussian_mlp import GaussianMLP, Policy
from metarl.rollout import Batch, MetaBatch


@dataclass(frozen=True)
class MamlTrpoConfig:
    """MAML-TRPO.

    Args:
        inner_step_size: alpha.
        inner_steps: gradient steps of the adaptation, each on fresh episodes.
        inner_objective: "vpg" or "lvc".
        first_order: FOMAML: treat the inner gradient as a constant.
        trust_region: the outer step.
        task_chunk: tasks differentiated at once; few stay in a CPU's cache, 0 takes all.
    """

    inner_step_size: float = 0.1
    inner_steps: int = 1
    inner_objective: InnerObjective = "vpg"
    first_order: bool = False
    trust_region: TrustRegionConfig = field(default_factory=TrustRegionConfig)
    task_chunk: int = 4


class MamlTrpo:
    """The meta-learner: adaptation for sampling, and the outer update."""

    def __init__(self, policy: Policy, config: MamlTrpoConfig) -> None:
        self._policy = policy
        self._config = config
        self._loss = inner_loss(policy, config.inner_objective)
        self._surrogate = surrogate(policy)
        self._kl = mean_kl(policy)

    def adapt_task(self, parameters: Parameters, support: tuple[Batch, ...]) -> Parameters:
        """One task's adapted parameters; differentiable."""
        steps = [self._config.inner_step_size] * len(support)
        return adapt(self._loss, parameters, support, steps, first_order=self._config.first_order)

    def update(self, parameters: Parameters, batch: MetaBatch) -> tuple[Parameters, dict[str, float], str | None]:
        """One outer step; returns the new parameters, diagnostics, and why the step was rejected if it was."""
        surrogate_before, gradient = self._meta_gradient(parameters, batch)
        if not torch.isfinite(gradient).all():
            raise NonFiniteError("expected a finite meta-gradient; try a smaller inner step size")
        result = trust_region_step(
            flatten(parameters),
            gradient,
            surrogate_before,
            self._curvature_product(parameters, batch),
            lambda candidate: self._evaluate(unflatten(candidate, parameters), batch),
            self._config.trust_region,
        )
        metrics = {
            "surrogate_before": surrogate_before,
            "meta_gradient_norm": torch.linalg.vector_norm(gradient).item(),
            **result.metrics,
        }
        return unflatten(result.parameters, parameters), metrics, result.rejection

    def _meta_gradient(self, parameters: Parameters, batch: MetaBatch) -> tuple[float, Tensor]:
        def gain(theta: Parameters, support: tuple[Batch, ...], query: Batch) -> Tensor:
            return self._surrogate(self.adapt_task(theta, support), query)

        mapped = torch.vmap(
            torch.func.grad_and_value(gain), in_dims=(None, 0, 0), chunk_size=self._config.task_chunk or None
        )
        gradients, gains = mapped(parameters, batch.support, batch.query)
        return gains.mean().item(), flatten({name: value.mean(0) for name, value in gradients.items()})

    def _curvature_product(self, parameters: Parameters, batch: MetaBatch) -> CurvatureProduct:
        config = self._config
        if isinstance(self._policy, GaussianMLP) and batch.query.actions.device.type == "cpu":
            step = InnerStep(config.inner_objective, config.inner_step_size, config.first_order)
            return mlp_curvature_product(self._policy, step, self._loss, parameters, batch)
        chunk = config.task_chunk or None
        return generic_curvature_product(self._policy, self.adapt_task, parameters, batch, chunk)

    def _evaluate(self, parameters: Parameters, batch: MetaBatch) -> Evaluation:
        def measure(support: tuple[Batch, ...], query: Batch) -> tuple[Tensor, Tensor]:
            adapted = self.adapt_task(parameters, support)
            return self._surrogate(adapted, query), self._kl(adapted, query)

        with torch.no_grad():
            mapped = torch.vmap(measure, chunk_size=self._config.task_chunk or None)
            gains, divergences = mapped(batch.support, batch.query)
        return Evaluation(gains.mean().item(), divergences.mean().item())
