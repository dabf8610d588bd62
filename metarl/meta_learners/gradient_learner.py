"""What the gradient-based meta-learners share: settings, and the update from an inner step and a gain.

theta^{k+1}_i = step(theta^k_i; support^k_i)
J(theta)      = mean_i gain(theta^0_i, ..., theta^K_i; support_i, query_i)
theta        <- an outer step up J: a trust region (TRPO), or Adam on clipped ratios (PPO)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

import torch
from jsonargparse.typing import NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor

from metarl.compute.task_map import TaskMap
from metarl.errors import ConfigError
from metarl.math.parameters import Parameters, flatten, unflatten
from metarl.meta_learners.inner.gradient_step import inner_path
from metarl.meta_learners.learner import LearnerState, Update, learned_metrics
from metarl.meta_learners.outer.clipped import LEARNING_RATE, ClippedConfig, check_learning_rate, clipped_step
from metarl.meta_learners.outer.curvature import CurvatureProduct, generic_curvature_product
from metarl.meta_learners.outer.meta_gradient import Gain, MetaGradient, Path, meta_gradient
from metarl.meta_learners.outer.trust_region import Evaluation, TrustRegionConfig, trust_region_step
from metarl.objectives.policy_gradient import InnerObjective, Objective, clipped_surrogate, mean_kl, surrogate
from metarl.policies.policy import Policy
from metarl.rollouts.rollout import Batch, MetaBatch

Step = Callable[[Parameters, Batch, int, bool], Parameters]
"""(one task's parameters, its batch, the step's number, whether first order) -> parameters after it."""
GainOf = Callable[[Objective], Gain[Batch]]
"""The outer objective (a surrogate, clipped or not) -> an algorithm's gain."""
GradientOf = Callable[[Parameters, MetaBatch, Gain[Batch]], MetaGradient]
"""(meta-parameters, meta-batch, gain) -> the gradient of the tasks' mean gain."""
Curvature = Callable[[Parameters, MetaBatch], CurvatureProduct]


@dataclass(frozen=True)
class GradientConfig:
    """Settings of every learner that adapts by gradient steps.

    Args:
        inner_step_size: alpha.
        later_step_scale: multiplies alpha after the first inner step, in training and adaptation; the
            original evaluation halves it.
        inner_steps: K, gradient steps of the adaptation, each on fresh episodes.
        inner_objective: "vpg" or "lvc".
        first_order: treat every inner gradient as a constant (FOMAML).
        differentiated_steps: differentiate through the last so many inner steps only; null for all. Not
            read with `first_order`.
        recompute: keep one inner step's graph at a time: memory that does not grow with inner_steps.
        outer: "trpo" or "ppo", the outer step.
        trust_region, clipped: its settings; "trpo" reads the former alone, "ppo" the latter. With "ppo" and
            several epochs, "vpg" takes its inner steps by log pi on episodes that the policy of the first
            epoch sampled, uncorrected by a ratio; "lvc" has the ratio.
    """

    inner_step_size: PositiveFloat = 0.1
    later_step_scale: PositiveFloat = 1.0
    inner_steps: PositiveInt = 1
    inner_objective: InnerObjective = "vpg"
    first_order: bool = False
    differentiated_steps: NonNegativeInt | None = None
    recompute: bool = False
    outer: Literal["trpo", "ppo"] = "trpo"
    trust_region: TrustRegionConfig = field(default_factory=TrustRegionConfig)
    clipped: ClippedConfig = field(default_factory=ClippedConfig)

    def step_size(self, step: int) -> float:
        """The size of inner step number `step`, from 0."""
        scale = 1.0 if step == 0 else self.later_step_scale
        return float(self.inner_step_size * scale)

    @property
    def step_sizes(self) -> list[float]:
        return [self.step_size(step) for step in range(self.inner_steps)]

    def is_first_order(self, step: int) -> bool:
        """Whether inner step number `step` is not differentiated through."""
        if self.first_order or self.differentiated_steps is None:
            return self.first_order
        return step < int(self.inner_steps) - int(self.differentiated_steps)


def refuse_unread(config: GradientConfig, name: str, unread: Sequence[str]) -> None:
    """Refuses a value for a setting that an algorithm does not read; run folders hold them at their defaults.

    Args:
        name: the algorithm's.
        unread: its settings without effect; of a section, all of it.

    Raises:
        ConfigError: one of them has another value than its default.
    """
    given, default = asdict(config), asdict(type(config)())
    for key in unread:
        section = isinstance(given[key], dict)
        pairs = given[key].items() if section else [(key, given[key])]
        for part, value in pairs:
            usual = default[key][part] if section else default[key]
            if value != usual:
                path = f"{key}.{part}" if section else key
                raise ConfigError(
                    f"meta_learner.{path}: expected {usual}, since {name} does not use it, got {value}"
                )


def final_gain(objective: Objective) -> Gain[Batch]:
    """The outer objective of the fully adapted parameters on the query batch (Finn et al. 2017, eq. 4)."""

    def gain(path: Path, support: Sequence[Batch], query: Batch) -> Tensor:
        return objective(path[-1], query)

    return gain


class GradientLearner:
    """The meta-learner (`MetaLearner`) of an inner step and a gain.

    Args:
        step: the inner rule.
        gain_of: the outer gain, from the outer objective.
        extra: learned entries beside the policy's own at the start, e.g. step sizes, from those.
        given: the policy as it was given, where `policy` has learned entries beside that one's; they are
            logged as those of `extra` are.
        prepare: what the gain needs from the whole meta-batch, put into it before an update.
        gradient: instead of differentiating through the inner steps.
        curvature: of the mean KL through the adaptation; by torch.func if not given.
        cpu_curvature: the same product where it is quicker on a CPU.

    Raises:
        ConfigError: an outer step that cannot be computed.
    """

    def __init__(
        self,
        policy: Policy,
        config: GradientConfig,
        task_map: TaskMap,
        step: Step,
        *,
        gain_of: GainOf = final_gain,
        extra: Callable[[Parameters], Parameters] = lambda parameters: {},
        given: Policy | None = None,
        prepare: Callable[[MetaBatch], MetaBatch] = lambda batch: batch,
        gradient: GradientOf | None = None,
        curvature: Curvature | None = None,
        cpu_curvature: Curvature | None = None,
    ) -> None:
        if config.outer == "ppo":
            check_learning_rate(LEARNING_RATE, float(config.clipped.learning_rate))
        self.policy = policy
        self.inner_steps = int(config.inner_steps)
        self._config = config
        self._map = task_map
        self._step = step
        self._extra = extra
        self._given = given or policy
        self._gain = gain_of(surrogate(policy))
        self._clipped_gain = gain_of(clipped_surrogate(policy, float(config.clipped.clip)))
        self._kl = mean_kl(policy)
        self._prepare = prepare
        self._gradient = gradient or self._differentiated
        self._curvature = curvature or self._generic_curvature
        self._cpu_curvature = cpu_curvature or self._curvature

    def initial_state(self, generator: torch.Generator) -> LearnerState:
        parameters = self.policy.initial_parameters(generator)
        return LearnerState({**parameters, **self._extra(parameters)})

    def inner_step(self, parameters: Parameters, batch: Batch, step: int) -> Parameters:
        return self._step(parameters, batch, step, self._config.is_first_order(step))

    def update(self, state: LearnerState, batch: MetaBatch) -> Update:
        prepared = self._prepare(batch)
        return self._trpo(state, prepared) if self._config.outer == "trpo" else self._ppo(state, prepared)

    def _differentiated(self, parameters: Parameters, batch: MetaBatch, gain: Gain[Batch]) -> MetaGradient:
        recompute = self._config.recompute
        return meta_gradient(self.inner_step, gain, parameters, batch, self._map, recompute=recompute)

    def adapt(self, parameters: Parameters, support: Sequence[Batch]) -> Parameters:
        """One task's parameters after the inner steps."""
        return inner_path(self.inner_step, parameters, support)[-1]

    def _trpo(self, state: LearnerState, batch: MetaBatch) -> Update:
        theta = state.parameters
        found = self._gradient(theta, batch, self._gain)
        gradient = flatten({name: found.gradient[name] for name in theta})
        on_cpu = batch.query.actions.device.type == "cpu"
        curvature = self._cpu_curvature if on_cpu else self._curvature
        result = trust_region_step(
            flatten(theta),
            gradient,
            found.gain,
            curvature(theta, batch),
            lambda candidate: self.evaluate(unflatten(candidate, theta), batch),
            self._config.trust_region,
        )
        after = unflatten(result.parameters, theta)
        metrics = {
            "surrogate_before": found.gain,
            "meta_gradient_norm": torch.linalg.vector_norm(gradient).item(),
            **found.metrics,
            **result.metrics,
            **learned_metrics(self._given, after),
        }
        return Update(LearnerState(after), metrics, result.rejection)

    def _ppo(self, state: LearnerState, batch: MetaBatch) -> Update:
        result = clipped_step(
            state.parameters,
            state.optimiser,
            lambda theta: self._gradient(theta, batch, self._clipped_gain),
            lambda theta: self.evaluate(theta, batch),
            self._config.clipped,
        )
        metrics = {**result.metrics, **learned_metrics(self._given, result.parameters)}
        return Update(LearnerState(result.parameters, result.optimiser), metrics, result.rejection)

    def evaluate(self, parameters: Parameters, batch: MetaBatch) -> Evaluation:
        """The tasks' mean gain, and mean KL of the adapted policies, at other meta-parameters."""

        def measure(support: Sequence[Batch], query: Batch) -> tuple[Tensor, Tensor]:
            path = inner_path(self.inner_step, parameters, support)
            return self._gain(path, support, query), self._kl(path[-1], query)

        with torch.no_grad():
            gains, divergences = self._map(measure, *batch, tasks=batch.tasks)
        return Evaluation(gains.mean().item(), divergences.mean().item())

    def _generic_curvature(self, parameters: Parameters, batch: MetaBatch) -> CurvatureProduct:
        chunk_size = self._map.chunk_size
        return generic_curvature_product(self.policy, self.adapt, parameters, *batch, chunk_size)
