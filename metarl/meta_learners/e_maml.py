"""E-MAML (Stadie et al. 2018): the policy before adaptation is credited for the return after it.

grad J = MAML's gradient + E[ return after adaptation * grad sum log pi_theta(support) ]   (eq. 4)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jsonargparse.typing import NonNegativeFloat
from torch import Tensor

from metarl.compute.reduction import Reduction
from metarl.compute.task_map import TaskMap
from metarl.meta_learners.gradient_learner import gradient_learner
from metarl.meta_learners.inner.meta_gradient import Gain, Path
from metarl.meta_learners.learner import LearnerState, MetaLearner, Update
from metarl.meta_learners.maml import plain_rule
from metarl.meta_learners.settings import GradientConfig
from metarl.objectives.policy_gradient import PolicyObjective, weighted_ratio
from metarl.policies.policy import Policy
from metarl.rollouts.rollout import Batch, MetaBatch

CREDIT = "credit"
"""What the sampling of an episode is credited with; of a support batch's extras, [task, episode]."""


@dataclass(frozen=True)
class EMamlConfig(GradientConfig):
    """E-MAML.

    Args:
        credit_weight: weight of the credit, per support step. The mean number of a task's support steps per
            inner step, times the standard deviation of the tasks' returns, makes the gradient exact, and very
            noisy. With the outer step "ppo" the credit's ratios are not clipped.
    """

    credit_weight: NonNegativeFloat = 1.0


def e_maml(policy: Policy, config: EMamlConfig, task_map: TaskMap) -> MetaLearner:
    """The meta-learner grad J = MAML's + E[return after adaptation * grad sum log pi_theta(support)]."""
    ratio, weight = weighted_ratio(policy), float(config.credit_weight)

    def gain_of(objective: PolicyObjective) -> Gain[Batch]:
        def gain(path: Path, support: Sequence[Batch], query: Batch) -> Tensor:
            total = objective(path[-1], query)
            for k, batch in enumerate(support):
                credit = batch.extras[CREDIT].mean().expand_as(batch.rewards)
                total = total + weight * ratio(path[k], batch, credit)
            return total

        return gain

    rule, steps = plain_rule(policy, config), int(config.inner_steps)
    learner = gradient_learner(policy, config, steps, rule, task_map, gain_of)

    def update(state: LearnerState, batch: MetaBatch) -> Update:
        return learner.update(state, with_credit(batch, task_map.reduction))

    return replace(learner, update=update)


def with_credit(batch: MetaBatch, reduction: Reduction) -> MetaBatch:
    """The support batches with what their sampling is credited with for the return after adaptation.

    Eq. 4 sums over trajectories, while the gain is a mean over a task's valid steps: a batch's credit is
    multiplied by its number of them, relative to the mean over tasks and inner steps.
    """
    if not batch.support:
        return batch
    credit = reduction.own(relative_returns(reduction.gather(batch.query.returns)))
    steps = torch.stack([data.valid.sum((-2, -1)) for data in batch.support], dim=1).to(credit.dtype)
    shares = steps / reduction.gather(steps).mean()
    support = [
        data._replace(extras={**data.extras, CREDIT: shares[:, k, None] * credit})
        for k, data in enumerate(batch.support)
    ]
    return batch._replace(support=tuple(support))


def relative_returns(returns: Tensor) -> Tensor:
    """Returns [task, episode] relative to the other tasks' mean, in standard deviations over the tasks.

    The baseline of a task leaves out the task itself, so that it does not depend on what it judges.
    With one task there is nothing to compare with: its credit is its return.
    """
    tasks = len(returns)
    if tasks == 1:
        return returns
    means = returns.mean(-1)
    others = (means.sum() - means) / (tasks - 1)
    return (returns - others[:, None]) / means.std().clamp(min=1e-8)
