"""ProMP (Rothfuss et al. 2019, algorithm 1): low-variance curvature inside, clipped ratios outside.

J(theta) = mean_i clipped surrogate(theta'_i(theta); query_i) - eta KL(pi_theta_old || pi_theta)   (eq. 13)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jsonargparse.typing import NonNegativeFloat
from torch import Tensor

from metarl.compute.task_map import TaskMap
from metarl.errors import ConfigError
from metarl.math.parameters import Parameters
from metarl.meta_learners.gradient_learner import GainOf, GradientConfig, GradientLearner, refuse_unread
from metarl.meta_learners.inner.gradient_step import inner_path
from metarl.meta_learners.learner import LearnerState, MetaLearner, Update
from metarl.meta_learners.maml import gradient_step
from metarl.meta_learners.outer.meta_gradient import Gain, Path
from metarl.objectives.policy_gradient import InnerObjective, Objective, mean_kl
from metarl.policies.policy import Policy
from metarl.rollouts.rollout import Batch, MetaBatch

PENALTIES = "kl_penalties"


@dataclass(frozen=True)
class PrompConfig(GradientConfig):
    """ProMP.

    Args:
        outer: "ppo", ProMP's only outer step.
        kl_penalty: eta, on how far every sampling policy moves from the one that sampled.
        kl_target: with a target, every inner step has an eta of its own, which starts at `kl_penalty` and
            after an update doubles where that KL is above 1.5 times the target, and halves where it is below
            the target / 1.5, as in the authors' code (0.01 there); 0 for a fixed one.
    """

    inner_objective: InnerObjective = "lvc"
    outer: Literal["ppo"] = "ppo"
    kl_penalty: NonNegativeFloat = 5e-4
    kl_target: NonNegativeFloat = 0.0


def promp(policy: Policy, config: PrompConfig, task_map: TaskMap) -> MetaLearner:
    """The meta-learner.

    Raises:
        ConfigError: a setting of a trust region, or a target for a penalty of 0, which no factor changes.
    """
    refuse_unread(config, "promp", ["trust_region"])
    if config.kl_target and not config.kl_penalty:
        raise ConfigError("meta_learner.kl_penalty: expected a number > 0 with a kl_target, got 0")
    if config.kl_target:
        return AdaptivePromp(policy, config, task_map)
    return with_penalties(policy, config, task_map, [float(config.kl_penalty)] * int(config.inner_steps))


def with_penalties(
    policy: Policy, config: PrompConfig, task_map: TaskMap, penalties: Sequence[float]
) -> GradientLearner:
    """The meta-learner of one fixed eta an inner step."""
    step, gain_of = gradient_step(policy, config), penalised(mean_kl(policy), penalties)
    return GradientLearner(policy, config, task_map, step, gain_of=gain_of)


def penalised(kl: Objective, penalties: Sequence[float]) -> GainOf:
    """The outer objective less the mean over inner steps of eta KL."""

    def gain_of(objective: Objective) -> Gain[Batch]:
        def gain(path: Path, support: Sequence[Batch], query: Batch) -> Tensor:
            moved = [eta * kl(path[k], support[k]) for k, eta in enumerate(penalties)]
            return objective(path[-1], query) - torch.stack(moved).mean()

        return gain

    return gain_of


class AdaptivePromp:
    """The meta-learner (`MetaLearner`) whose penalties follow a target; the optimiser's state holds them."""

    def __init__(self, policy: Policy, config: PrompConfig, task_map: TaskMap) -> None:
        self.policy = policy
        self.inner_steps = int(config.inner_steps)
        self._config = config
        self._map = task_map
        self._kl = mean_kl(policy)
        start = [float(config.kl_penalty)] * self.inner_steps
        self._start = torch.tensor(start, dtype=torch.float64)
        self._learner = with_penalties(policy, config, task_map, start)

    def initial_state(self, generator: torch.Generator) -> LearnerState:
        return self._learner.initial_state(generator)

    def inner_step(self, parameters: Parameters, batch: Batch, step: int) -> Parameters:
        return self._learner.inner_step(parameters, batch, step)

    def update(self, state: LearnerState, batch: MetaBatch) -> Update:
        moments = {name: value for name, value in state.optimiser.items() if name != PENALTIES}
        penalties = state.optimiser.get(PENALTIES, self._start)
        learner = with_penalties(self.policy, self._config, self._map, penalties.tolist())
        update = learner.update(replace(state, optimiser=moments), batch)
        if update.rejection:
            return update._replace(state=state)
        moved = self._sampling_kls(update.state.parameters, batch)
        adapted = adapt_penalties(penalties.cpu(), moved.cpu(), float(self._config.kl_target))
        metrics = dict(update.metrics)
        for k in range(self.inner_steps):
            metrics |= {f"kl_penalty_{k}": adapted[k].item(), f"sampling_kl_{k}": moved[k].item()}
        optimiser = {**update.state.optimiser, PENALTIES: adapted}
        return Update(replace(update.state, optimiser=optimiser), metrics)

    def _sampling_kls(self, parameters: Parameters, batch: MetaBatch) -> Tensor:
        """[inner step]: the tasks' mean KL of every policy that now samples from the one that did."""

        def measure(support: Sequence[Batch]) -> Tensor:
            path = inner_path(self.inner_step, parameters, support)
            return torch.stack([self._kl(path[k], data) for k, data in enumerate(support)])

        with torch.no_grad():
            divergences: Tensor = self._map(measure, batch.support, tasks=batch.tasks)
        return divergences.mean(0)


def adapt_penalties(penalties: Tensor, divergences: Tensor, target: float) -> Tensor:
    """Twice the penalty where its KL is far above the target, half of it where far below."""
    factor = torch.ones_like(penalties)
    factor[divergences > 1.5 * target] = 2.0
    factor[divergences < target / 1.5] = 0.5
    return penalties * factor
