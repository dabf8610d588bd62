"""MAML++ (Antoniou et al. 2019), for policies: what its section 4 changes in MAML.

- a step size for every layer and inner step, learned;
- a loss after every inner step at first, whose weights move to the last step, until that alone counts;
- first-order updates first, second-order later;
- Adam with a cosine schedule and a bound on the gradient.

The policy after inner step k is judged on the episodes it collected, which are the support of step
k + 1, so the multi-step loss costs no episodes. Its batch statistics per step have no place in a policy
without normalisation layers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from jsonargparse.typing import NonNegativeFloat, NonNegativeInt
from torch import Tensor

from metarl.compute.task_map import TaskMap
from metarl.math.parameters import Parameters
from metarl.meta_learners.gradient_learner import GradientConfig, GradientLearner, refuse_unread
from metarl.meta_learners.inner.gradient_step import inner_step
from metarl.meta_learners.learner import (
    STEP_SIZE,
    LearnerState,
    Update,
    learned_metrics,
    without_step_sizes,
)
from metarl.meta_learners.outer.clipped import ClippedConfig, clipped_step
from metarl.meta_learners.outer.meta_gradient import Path, meta_gradient
from metarl.objectives.policy_gradient import clipped_surrogate, inner_loss
from metarl.policies.policy import Policy
from metarl.rollouts.rollout import Batch, MetaBatch

UPDATES = "updates"
_LEAST_SHARE = 0.03


@dataclass(frozen=True)
class MamlPpConfig(GradientConfig):
    """MAML++.

    Args:
        outer: "ppo", MAML++'s only outer step.
        multi_step_updates: updates over which the loss moves to the last inner step; 0 for it alone. While
            it moves, every inner step's loss is kept, also with `recompute`.
        first_order_updates: updates at the start that treat inner gradients as constants.
        schedule_updates: updates of the cosine schedule; 0 for a constant learning rate.
        final_learning_rate: at the schedule's end.
    """

    outer: Literal["ppo"] = "ppo"
    clipped: ClippedConfig = field(default_factory=lambda: ClippedConfig(max_gradient_norm=10.0))
    multi_step_updates: NonNegativeInt = 50
    first_order_updates: NonNegativeInt = 20
    schedule_updates: NonNegativeInt = 0
    final_learning_rate: NonNegativeFloat = 1e-5


class MamlPlusPlus:
    """The meta-learner (`MetaLearner`).

    Raises:
        ConfigError: a setting of a trust region.
    """

    def __init__(self, policy: Policy, config: MamlPpConfig, task_map: TaskMap) -> None:
        refuse_unread(config, "maml_pp", ["trust_region"])
        self.policy = policy
        self.inner_steps = int(config.inner_steps)
        self._config = config
        self._map = task_map
        self._loss = inner_loss(policy, config.inner_objective)
        self._objective = clipped_surrogate(policy, float(config.clipped.clip))
        self._learner = GradientLearner(policy, config, task_map, self._step, extra=self._step_sizes)

    def initial_state(self, generator: torch.Generator) -> LearnerState:
        return self._learner.initial_state(generator)

    def inner_step(self, parameters: Parameters, batch: Batch, step: int) -> Parameters:
        return self._learner.inner_step(parameters, batch, step)

    def update(self, state: LearnerState, batch: MetaBatch) -> Update:
        config = self._config
        updates = int(state.optimiser[UPDATES]) if state.optimiser else 0
        weights = multi_step_weights(self.inner_steps, updates, int(config.multi_step_updates))
        first_order = updates < int(config.first_order_updates)

        def step(parameters: Parameters, data: Batch, k: int) -> Parameters:
            return self._step(parameters, data, k, first_order or config.is_first_order(k))

        def gain(path: Path, support: Sequence[Batch], query: Batch) -> Tensor:
            collected = [*support[1:], query]
            judged = zip(weights, path[1:], collected, strict=True)
            return torch.stack([w * self._objective(theta, data) for w, theta, data in judged if w]).sum()

        moments = {name: value for name, value in state.optimiser.items() if name != UPDATES}
        result = clipped_step(
            state.parameters,
            moments,
            lambda theta: meta_gradient(step, gain, theta, batch, self._map, recompute=config.recompute),
            lambda theta: self._learner.evaluate(theta, batch),
            config.clipped,
            learning_rate=self._learning_rate(updates),
        )
        metrics = {
            **result.metrics,
            "final_step_weight": weights[-1],
            "second_order": float(not first_order),
            **learned_metrics(self.policy, result.parameters),
        }
        if result.rejection:
            return Update(state, metrics, result.rejection)
        optimiser = {**result.optimiser, UPDATES: torch.tensor(float(updates + 1))}
        return Update(LearnerState(result.parameters, optimiser), metrics)

    def _step(self, parameters: Parameters, batch: Batch, k: int, first_order: bool) -> Parameters:
        last = min(k, self.inner_steps - 1)
        own = without_step_sizes(parameters)
        sizes = {name: parameters[f"{STEP_SIZE}{last}.{layer(name)}"] for name in own}
        return inner_step(self._loss, parameters, batch, sizes, names=own, first_order=first_order)

    def _step_sizes(self, parameters: Parameters) -> Parameters:
        layers = dict.fromkeys(layer(name) for name in parameters)
        like = next(iter(parameters.values()))
        return {
            f"{STEP_SIZE}{k}.{name}": like.new_tensor(self._config.step_size(k))
            for k in range(self.inner_steps)
            for name in layers
        }

    def _learning_rate(self, updates: int) -> float:
        start, end = float(self._config.clipped.learning_rate), float(self._config.final_learning_rate)
        length = int(self._config.schedule_updates)
        if not length:
            return start
        return end + (start - end) * (1 + math.cos(math.pi * min(updates / length, 1.0))) / 2


def layer(name: str) -> str:
    """The layer of a parameter: "hidden.0.weight" -> "hidden.0"."""
    return name.rsplit(".", 1)[0]


def multi_step_weights(steps: int, updates: int, annealed_over: int) -> list[float]:
    """The loss weight of every inner step: equal at first, then moving to the last (section 4).

    While they move, an earlier step keeps at least 0.03 / K; from `annealed_over` on the last one alone
    counts. Both as in the authors' code (few_shot_learning_system.py).
    """
    if steps == 1 or updates >= annealed_over:
        return [0.0] * (steps - 1) + [1.0]
    earlier = max(1 - updates / annealed_over, _LEAST_SHARE) / steps
    return [earlier] * (steps - 1) + [1.0 - (steps - 1) * earlier]
