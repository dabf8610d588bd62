"""ProMP (Rothfuss et al. 2019, algorithm 1): low-variance curvature inside, clipped ratios outside.

J(theta) = mean_i clipped surrogate(theta'_i(theta); query_i) - eta KL(pi_theta_old || pi_theta)   (eq. 13)

With `learn_step_size`, J is climbed in (theta, log alpha).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import torch
from jsonargparse.typing import NonNegativeFloat
from torch import Tensor

from metarl.compute.task_map import TaskMap
from metarl.math.parameters import Parameters
from metarl.meta_learners.gradient_learner import GainOf, clipped_learner
from metarl.meta_learners.inner.gradient_step import inner_path
from metarl.meta_learners.inner.meta_gradient import Gain, Path
from metarl.meta_learners.learner import LearnerState, MetaLearner, Update
from metarl.meta_learners.maml import maml_rule
from metarl.meta_learners.outer.clipped import AdamState, ClippedConfig
from metarl.meta_learners.settings import LearnableStep
from metarl.objectives.policy_gradient import InnerObjective, PolicyObjective, mean_kl
from metarl.policies.policy import Policy
from metarl.rollouts.rollout import Batch, MetaBatch


@dataclass(frozen=True)
class PrompConfig(LearnableStep):
    """ProMP.

    Args:
        inner_objective: "vpg" or "lvc", the loss of the inner steps.
        outer: "ppo", ProMP's only outer step.
        clipped: its settings.
        kl_penalty: eta, on how far every sampling policy moves from the one that sampled.
        kl_target: where that KL should be: every inner step has an eta of its own, which starts at
            `kl_penalty` and after an update doubles where the KL is above 1.5 times the target, and halves
            where it is below the target / 1.5, as in the authors' code (0.01 there); 0 for a fixed one.

    Raises:
        ValueError: a target for a penalty of 0, which no factor changes.
    """

    inner_objective: InnerObjective = "lvc"
    outer: Literal["ppo"] = "ppo"
    clipped: ClippedConfig = field(default_factory=ClippedConfig)
    kl_penalty: NonNegativeFloat = 5e-4
    kl_target: NonNegativeFloat = 0.0

    def __post_init__(self) -> None:
        if self.kl_target and not self.kl_penalty:
            raise ValueError("meta_learner.kl_penalty: expected a number > 0 with a kl_target, got 0")


class PrompState(NamedTuple):
    """Adam's state, and the eta of every inner step, [inner step] float64."""

    adam: AdamState
    kl_penalties: Tensor


def promp(policy: Policy, config: PrompConfig, task_map: TaskMap) -> MetaLearner:
    """The meta-learner J = mean_i clipped surrogate(theta'_i; query_i) - eta KL(pi_theta_old || pi_theta)."""
    fixed = with_penalties(policy, config, task_map, [float(config.kl_penalty)] * int(config.inner_steps))
    return adaptive(fixed, policy, config, task_map) if config.kl_target else fixed


def with_penalties(
    policy: Policy, config: PrompConfig, task_map: TaskMap, penalties: Sequence[float]
) -> MetaLearner:
    """The meta-learner of one fixed eta per inner step."""
    rule, gain_of = maml_rule(policy, config), penalised(mean_kl(policy), penalties)
    return clipped_learner(policy, config.clipped, int(config.inner_steps), rule, task_map, gain_of)


def penalised(kl: PolicyObjective, penalties: Sequence[float]) -> GainOf:
    """The outer objective less the mean over inner steps of eta KL."""

    def gain_of(objective: PolicyObjective) -> Gain[Batch]:
        def gain(path: Path, support: Sequence[Batch], query: Batch) -> Tensor:
            moved = [eta * kl(path[k], support[k]) for k, eta in enumerate(penalties)]
            return objective(path[-1], query) - torch.stack(moved).mean()

        return gain

    return gain_of


def adaptive(fixed: MetaLearner, policy: Policy, config: PrompConfig, task_map: TaskMap) -> MetaLearner:
    """The meta-learner whose penalties follow a target; its state holds them."""
    kl, rule = mean_kl(policy), maml_rule(policy, config)

    def start(parameters: Parameters) -> LearnerState:
        state = fixed.start(parameters)
        penalties = torch.full((fixed.inner_steps,), float(config.kl_penalty), dtype=torch.float64)
        return replace(state, optimiser=PrompState(state.optimiser, penalties))

    def sampling_kls(parameters: Parameters, batch: MetaBatch) -> Tensor:
        """[inner step]: the tasks' mean KL of every policy that then samples from the one that did."""

        def measure(support: Sequence[Batch]) -> Tensor:
            path = inner_path(rule.step, parameters, support)
            return torch.stack([kl(path[k], data) for k, data in enumerate(support)])

        with torch.no_grad():
            divergences: Tensor = task_map.mean(task_map(measure, batch.support, tasks=batch.tasks))
        return divergences

    def update(state: LearnerState, batch: MetaBatch) -> Update:
        adam, penalties = state.optimiser
        learner = with_penalties(policy, config, task_map, penalties.tolist())
        found = learner.update(replace(state, optimiser=adam), batch)
        if found.rejection:
            return found._replace(state=state)
        moved = sampling_kls(found.state.parameters, batch)
        adapted = adapt_penalties(penalties.cpu(), moved.cpu(), float(config.kl_target))
        metrics = dict(found.metrics)
        for k in range(fixed.inner_steps):
            metrics |= {f"kl_penalty_{k}": adapted[k].item(), f"sampling_kl_{k}": moved[k].item()}
        after = PrompState(found.state.optimiser, adapted)
        return Update(replace(found.state, optimiser=after), metrics)

    return replace(fixed, start=start, update=update)


def adapt_penalties(penalties: Tensor, divergences: Tensor, target: float) -> Tensor:
    """Twice the penalty where its KL is far above the target, half of it where far below."""
    factor = torch.ones_like(penalties)
    factor[divergences > 1.5 * target] = 2.0
    factor[divergences < target / 1.5] = 0.5
    return penalties * factor
