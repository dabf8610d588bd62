"""ANIL (Raghu et al. 2020): only the last layer adapts; the body is learned by the outer step alone.

theta'_head = theta_head - alpha grad_head L(theta; support)   (section 4)
J(theta)    = mean_i surrogate(theta'_i(theta); query_i)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from metarl.compute.task_map import TaskMap
from metarl.errors import ConfigError
from metarl.meta_learners.gradient_learner import gradient_learner
from metarl.meta_learners.inner.gradient_rules import gradient_rule, layer
from metarl.meta_learners.inner.rule import InnerRule
from metarl.meta_learners.learner import MetaLearner
from metarl.meta_learners.settings import GradientConfig
from metarl.objectives.policy_gradient import inner_loss
from metarl.policies.policy import Policy
from metarl.rollouts.rollout import Batch


@dataclass(frozen=True)
class AnilConfig(GradientConfig):
    """ANIL.

    Args:
        adapted_layers: layers that adapt, by the names of a policy's parameters: "mean" is that of the
            parameters mean.weight and mean.bias.
    """

    adapted_layers: tuple[str, ...] = ("mean",)


def anil(policy: Policy, config: AnilConfig, task_map: TaskMap) -> MetaLearner:
    """The meta-learner theta'_head = theta_head - alpha grad_head L(theta; support).

    Raises:
        ConfigError: a policy without such layers.
    """
    return gradient_learner(policy, config, int(config.inner_steps), head_rule(policy, config), task_map)


def head_rule(policy: Policy, config: AnilConfig) -> InnerRule[Batch]:
    """theta'_head = theta_head - alpha grad_head L(theta; support).

    Raises:
        ConfigError: a policy without such layers.
    """
    own = list(policy.initial_parameters(torch.Generator()))
    layers = dict.fromkeys(map(layer, own))
    for name in config.adapted_layers or ("",):
        if name not in layers:
            raise ConfigError(
                f"meta_learner.adapted_layers: expected some of {', '.join(layers)}, the layers of "
                f"{type(policy).__name__}, got {name or 'none'}"
            )
    return gradient_rule(
        inner_loss(policy, config.inner_objective),
        config.step_size,
        names=[name for name in own if layer(name) in config.adapted_layers],
        first_order=config.is_first_order,
        recompute=config.recompute,
    )
