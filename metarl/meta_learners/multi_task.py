"""Multi-task pre-training: one policy for all tasks, not trained to adapt; adaptation fine-tunes it.

J(theta) = mean_i surrogate(theta; batch_i)
theta'_i = theta - alpha grad L(theta; support_i), in adaptation alone

The baseline of Finn et al. 2017, section 5.3 ("pretrained"); of environments that show the task
(`observe_task`), their oracle.
"""

from __future__ import annotations

from dataclasses import replace

from metarl.compute.task_map import TaskMap
from metarl.meta_learners.gradient_learner import GradientConfig, GradientLearner, refuse_unread
from metarl.meta_learners.maml import gradient_step, quick_curvature
from metarl.policies.policy import Policy


def multi_task(policy: Policy, config: GradientConfig, task_map: TaskMap) -> GradientLearner:
    """The learner; no inner step is taken in training, whatever `inner_steps`.

    Raises:
        ConfigError: a setting of inner steps that are differentiated.
    """
    refuse_unread(config, "multi_task", ["first_order", "differentiated_steps", "recompute"])
    training = replace(config, inner_steps=0)
    step, curvature = gradient_step(policy, config), quick_curvature(policy, training, task_map)
    return GradientLearner(policy, training, task_map, step, cpu_curvature=curvature)
