"""A meta-learner of a user's own: first-order MAML, its step size told the other way round."""

from __future__ import annotations

from dataclasses import dataclass

from metarl.compute.task_map import TaskMap
from metarl.meta_learners.gradient_learner import GradientConfig
from metarl.meta_learners.learner import MetaLearner
from metarl.meta_learners.maml import maml
from metarl.policies.policy import Policy


@dataclass(frozen=True)
class CautiousConfig:
    """Settings.

    Args:
        caution: divides the size of every inner step.
        inner_steps: gradient steps of the adaptation.
    """

    caution: float = 2.0
    inner_steps: int = 1


def cautious(policy: Policy, config: CautiousConfig, task_map: TaskMap) -> MetaLearner:
    """FOMAML with inner steps of size 1 / caution."""
    settings = GradientConfig(
        inner_step_size=1 / config.caution, inner_steps=config.inner_steps, first_order=True
    )
    return maml(policy, settings, task_map)
