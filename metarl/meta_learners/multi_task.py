"""Multi-task pre-training: one policy for all tasks, not trained to adapt; adaptation fine-tunes it.

J(theta) = mean_i surrogate(theta; batch_i)
theta'_i = theta - alpha grad L(theta; support_i), in adaptation alone

The baseline of Finn et al. 2017, section 5.3 ("pretrained"); of environments that show the task
(`observe_task`), their oracle.
"""

from __future__ import annotations

from dataclasses import dataclass

from metarl.compute.task_map import TaskMap
from metarl.meta_learners.gradient_learner import gradient_learner
from metarl.meta_learners.inner.gradient_rules import gradient_rule
from metarl.meta_learners.inner.rule import PlainSteps
from metarl.meta_learners.learner import MetaLearner
from metarl.meta_learners.settings import GradientSteps, OuterChoice
from metarl.objectives.policy_gradient import inner_loss
from metarl.policies.policy import Policy


@dataclass(frozen=True)
class MultiTaskConfig(OuterChoice, GradientSteps):
    """Multi-task pre-training; its inner steps are those of adaptation alone, however many are taken."""


def multi_task(policy: Policy, config: MultiTaskConfig, task_map: TaskMap) -> MetaLearner:
    """The learner J(theta) = mean_i surrogate(theta; batch_i): no inner step in training."""
    loss = inner_loss(policy, config.inner_objective)
    plain = PlainSteps(config.inner_objective, loss, (), first_order=False)
    rule = gradient_rule(loss, config.step_size, plain=plain)
    return gradient_learner(policy, config, 0, rule, task_map)
