"""Reptile (Nichol et al. 2018), for policies: move towards the adapted parameters.

theta^K_i = theta after K inner steps on task i
theta    <- theta + beta mean_i (theta^K_i - theta)   (algorithm 2)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jsonargparse.typing import PositiveFloat, PositiveInt

from metarl.compute.task_map import TaskMap
from metarl.errors import NonFiniteError
from metarl.math.parameters import Parameters, first_not_finite, flatten
from metarl.meta_learners.inner.gradient_step import inner_path, inner_step
from metarl.meta_learners.learner import LearnerState, Update
from metarl.meta_learners.outer.clipped import adam_of, check_learning_rate, moments_of, why_wild
from metarl.meta_learners.outer.trust_region import Evaluation
from metarl.objectives.policy_gradient import InnerObjective, inner_loss, mean_kl
from metarl.policies.policy import Policy
from metarl.rollouts.rollout import Batch, MetaBatch

_OUTER_STEP_SIZE = "meta_learner.outer_step_size"


@dataclass(frozen=True)
class ReptileConfig:
    """Reptile.

    Args:
        inner_step_size: alpha.
        later_step_scale: multiplies alpha after the first inner step.
        inner_steps: K; all of a task's episodes are used for inner steps, the last ones too. The logged
            `rollout/return_after` is therefore that after K - 1 steps; with K = 1 there is one rollout,
            before and after are the same, and an evaluation tells what adaptation gains.
        inner_objective: "vpg" or "lvc".
        outer: "sgd" is the interpolation above; "adam" takes mean_i (theta - theta^K_i) as a gradient.
        outer_step_size: beta, or Adam's learning rate.
    """

    inner_step_size: PositiveFloat = 0.1
    later_step_scale: PositiveFloat = 1.0
    inner_steps: PositiveInt = 3
    inner_objective: InnerObjective = "vpg"
    outer: Literal["sgd", "adam"] = "sgd"
    outer_step_size: PositiveFloat = 1.0


class Reptile:
    """The meta-learner (`MetaLearner`). Nothing is differentiated twice: memory does not grow with K.

    Raises:
        ConfigError: a step size that Adam cannot take.
    """

    def __init__(self, policy: Policy, config: ReptileConfig, task_map: TaskMap) -> None:
        if config.outer == "adam":
            check_learning_rate(_OUTER_STEP_SIZE, float(config.outer_step_size))
        self.policy = policy
        self.inner_steps = int(config.inner_steps) - 1  # the query batch feeds the last
        self._config = config
        self._map = task_map
        self._loss = inner_loss(policy, config.inner_objective)
        self._kl = mean_kl(policy)

    def initial_state(self, generator: torch.Generator) -> LearnerState:
        return LearnerState(self.policy.initial_parameters(generator))

    def inner_step(self, parameters: Parameters, batch: Batch, step: int) -> Parameters:
        scale = 1.0 if step == 0 else self._config.later_step_scale
        size = float(self._config.inner_step_size * scale)
        return inner_step(self._loss, parameters, batch, size, first_order=True)

    def update(self, state: LearnerState, batch: MetaBatch) -> Update:
        theta = state.parameters

        def displacement(support: tuple[Batch, ...], query: Batch) -> Parameters:
            adapted = inner_path(self.inner_step, theta, (*support, query))[-1]
            return {name: adapted[name] - theta[name] for name in theta}

        with torch.no_grad():
            moves = self._map(displacement, *batch, tasks=batch.tasks)
        if fault := first_not_finite(moves):
            raise NonFiniteError(f"adapted parameters {fault[0]}", fault[1])
        mean = {name: values.mean(0) for name, values in moves.items()}
        moved = self._moved(state, mean)
        distance = self._distance(moved.parameters, batch)
        rejection = why_wild(moved.parameters, Evaluation(0.0, distance), _OUTER_STEP_SIZE)
        metrics = {
            "displacement_norm": torch.linalg.vector_norm(flatten(mean)).item(),
            "kl": 0.0 if rejection else distance,
            "accepted": float(rejection is None),
        }
        return Update(state if rejection else moved, metrics, rejection)

    def _distance(self, parameters: Parameters, batch: MetaBatch) -> float:
        """Mean KL of the policy before adaptation from the one that sampled."""
        first = (*batch.support, batch.query)[0]
        with torch.no_grad():
            divergences = self._map(lambda data: self._kl(parameters, data), first, tasks=batch.tasks)
        return float(divergences.mean())

    def _moved(self, state: LearnerState, displacement: Parameters) -> LearnerState:
        rate = float(self._config.outer_step_size)
        if self._config.outer == "sgd":
            return LearnerState({n: value + rate * displacement[n] for n, value in state.parameters.items()})
        leaves = {name: value.clone() for name, value in state.parameters.items()}
        adam = adam_of(leaves, state.optimiser, rate)
        for name, leaf in leaves.items():
            leaf.grad = -displacement[name]
        adam.step()
        for leaf in leaves.values():
            leaf.grad = None
        return LearnerState(leaves, moments_of(adam, leaves))
