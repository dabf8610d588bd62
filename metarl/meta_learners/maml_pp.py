"""MAML++ (Antoniou et al. 2019), for policies: what its section 4 changes in MAML.

theta^{k+1} = theta^k - alpha_{k, layer} grad L(theta^k; support^k), alpha learned
J(theta, alpha) = mean_i sum_k w_k clipped surrogate(theta^k; the episodes it collected)   (eq. 3)

- a step size for every layer and inner step, learned;
- a loss after every inner step at first, whose weights w move to the last step, until that alone counts;
- first-order updates first, second-order later;
- Adam with a schedule (`clipped.schedule`) and a bound on the gradient.

The policy after inner step k is judged on the episodes it collected, which are the support of step
k + 1, so the multi-step loss costs no episodes. Its batch statistics per step have no place in a policy
without normalisation layers.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from jsonargparse.typing import NonNegativeInt
from torch import Tensor

from metarl.compute.task_map import TaskMap
from metarl.math.parameters import Parameters
from metarl.meta_learners.gains import final_gain, multi_step_weights, weighted_gain
from metarl.meta_learners.gradient_learner import compose
from metarl.meta_learners.inner.gradient_rules import learned_layer_sizes
from metarl.meta_learners.inner.rule import InnerRule
from metarl.meta_learners.learner import LearnerState, MetaLearner, Update
from metarl.meta_learners.outer.clipped import AdamState, ClippedConfig, clipped_ascent
from metarl.meta_learners.settings import AtLeast, DifferentiatedSteps
from metarl.objectives.policy_gradient import clipped_surrogate, inner_loss, surrogate
from metarl.policies.policy import Policy
from metarl.rollouts.rollout import Batch, MetaBatch


@dataclass(frozen=True)
class MamlPpConfig(DifferentiatedSteps):
    """MAML++.

    Args:
        outer: "ppo", MAML++'s only outer step.
        clipped: its settings.
        multi_step_updates: updates over which the loss moves to the last inner step; 0 for it alone. While
            it moves, every inner step's loss is kept, also with `recompute`.
        first_order_updates: updates at the start that treat inner gradients as constants.
    """

    outer: Literal["ppo"] = "ppo"
    clipped: ClippedConfig = field(default_factory=lambda: ClippedConfig(max_gradient_norm=10.0))
    multi_step_updates: NonNegativeInt = 50
    first_order_updates: NonNegativeInt = 20

    read_with: ClassVar[dict[str, Any]] = {
        "first_order_updates": {"first_order": (False,)},
        "multi_step_updates": {"inner_steps": AtLeast(2)},
    }
    scales_later_steps: ClassVar[bool] = False


class MamlPpState(NamedTuple):
    """Adam's state, and how many updates have been made."""

    adam: AdamState
    updates: Tensor


def maml_pp(policy: Policy, config: MamlPpConfig, task_map: TaskMap) -> MetaLearner:
    """The meta-learner J = mean_i sum_k w_k clipped surrogate(theta^k_i), with learned alpha_{k, layer}."""
    steps, outer = int(config.inner_steps), clipped_ascent(config.clipped)
    climbed, judged = clipped_surrogate(policy, float(config.clipped.clip)), surrogate(policy)

    def rule(first_order: bool) -> InnerRule[Batch]:
        return learned_layer_sizes(
            inner_loss(policy, config.inner_objective),
            config.step_size,
            steps,
            first_order=lambda k: first_order or config.is_first_order(k),
            recompute=config.recompute,
        )

    def after(updates: int) -> MetaLearner:
        weights = multi_step_weights(steps, updates, int(config.multi_step_updates))
        gain, judge = weighted_gain(climbed, weights), final_gain(judged)
        first_order = updates < int(config.first_order_updates)
        return compose(policy, steps, rule(first_order), gain, outer, task_map, judge=judge)

    def start(parameters: Parameters) -> LearnerState:
        return LearnerState(parameters, MamlPpState(outer.init(parameters), torch.tensor(0.0)))

    def update(state: LearnerState, batch: MetaBatch) -> Update:
        adam, done = state.optimiser
        updates = int(done)
        found = after(updates).update(replace(state, optimiser=adam), batch)
        metrics = {
            **found.metrics,
            "final_step_weight": multi_step_weights(steps, updates, int(config.multi_step_updates))[-1],
            "second_order": float(updates >= int(config.first_order_updates)),
        }
        if found.rejection:
            return Update(state, metrics, found.rejection)
        moved = MamlPpState(found.state.optimiser, torch.tensor(float(updates + 1)))
        return Update(replace(found.state, optimiser=moved), metrics)

    return replace(after(int(config.first_order_updates)), start=start, update=update)
