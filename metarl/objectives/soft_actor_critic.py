"""Losses of soft actor-critic with twin critics and a learned temperature (Haarnoja et al. 2018b)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from metarl.math.parameters import Parameters


def soft_targets(
    rewards: Tensor,
    terminated: Tensor,
    next_values: Tensor,
    next_log_prob: Tensor,
    temperature: Tensor,
    discount: float,
) -> Tensor:
    """r + gamma (1 - terminated) (min_i Q_i(o', a') - alpha log pi(a' | o')), [...].

    Args:
        rewards: [...].
        terminated: [...] bool; the environment ended the episode. A time limit does not.
        next_values: of the target critics, [critic, ...].
        next_log_prob: of a' ~ pi(. | o'), [...].
        temperature: alpha, [].
    """
    soft = next_values.amin(0) - temperature * next_log_prob
    return rewards + discount * torch.where(terminated, 0.0, soft)


def critic_loss(values: Tensor, targets: Tensor) -> Tensor:
    """Half the mean squared error of every critic, summed over critics; [].

    Args:
        values: [critic, ...].
        targets: [...].
    """
    return 0.5 * (values - targets).square().flatten(1).mean(1).sum()


def actor_loss(log_prob: Tensor, values: Tensor, temperature: Tensor) -> Tensor:
    """mean(alpha log pi(a | o) - min_i Q_i(o, a)) of actions that the policy drew; [].

    Args:
        log_prob: [...].
        values: [critic, ...].
        temperature: alpha, [].
    """
    return (temperature * log_prob - values.amin(0)).mean()


def temperature_loss(log_temperature: Tensor, log_prob: Tensor, target_entropy: float) -> Tensor:
    """-log alpha times what the entropy lacks of its target, mean; []."""
    return -log_temperature * (log_prob.detach() + target_entropy).mean()


def soft_update(targets: Mapping[str, Tensor], parameters: Mapping[str, Tensor], rate: float) -> Parameters:
    """The targets moved by a share of the way to the parameters (Polyak)."""
    return {name: torch.lerp(value, parameters[name], rate) for name, value in targets.items()}
