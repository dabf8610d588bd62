"""E-MAML (Stadie et al. 2018): the policy before adaptation is credited for the return after it.

grad J = MAML's gradient + E[ return after adaptation * grad sum log pi_theta(support) ]   (eq. 4)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jsonargparse.typing import NonNegativeFloat
from torch import Tensor

from metarl.math.task_map import TaskMap
from metarl.meta_learners.gradient_learner import GradientConfig, GradientLearner
from metarl.meta_learners.maml import gradient_step, quick_curvature
from metarl.meta_learners.meta_gradient import Gain, Path
from metarl.objectives import Objective, surrogate
from metarl.policies.gaussian_mlp import Policy
from metarl.rollout import Batch, MetaBatch


@dataclass(frozen=True)
class EMamlConfig(GradientConfig):
    """E-MAML.

    Args:
        credit_weight: of the credit, per support step. The number of a task's support steps times the
            standard deviation of the tasks' returns makes the gradient exact, and very noisy.
    """

    credit_weight: NonNegativeFloat = 1.0


def e_maml(policy: Policy, config: EMamlConfig, task_map: TaskMap) -> GradientLearner:
    """The meta-learner."""
    ratio, weight = surrogate(policy), float(config.credit_weight)

    def gain_of(objective: Objective) -> Gain[Batch]:
        def gain(path: Path, support: Sequence[Batch], query: Batch) -> Tensor:
            total = objective(path[-1], query)
            for k, batch in enumerate(support):
                credit = query.returns.mean().expand_as(batch.advantages)
                total = total + weight * ratio(path[k], batch._replace(advantages=credit))
            return total

        return gain

    step, curvature = gradient_step(policy, config), quick_curvature(policy, config, task_map)
    return GradientLearner(
        policy, config, task_map, step, gain_of=gain_of, prepare=with_credit, cpu_curvature=curvature
    )


def with_credit(batch: MetaBatch) -> MetaBatch:
    """The query's returns relative to the other tasks' mean, in standard deviations over the tasks.

    The baseline of a task leaves out the task itself, so that it does not depend on what it judges.
    With one task there is nothing to compare with: its credit is its return.
    """
    tasks, returns = batch.tasks, batch.query.returns
    if tasks == 1:
        return batch
    means = returns.mean(-1)
    others = (means.sum() - means) / (tasks - 1)
    scale = means.std().clamp(min=1e-8)
    credit = (returns - others[:, None]) / scale
    return batch._replace(query=batch.query._replace(returns=credit))
