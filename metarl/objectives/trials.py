"""Objectives of a policy with memory on whole trials: PPO with a learned value (Schulman et al. 2017)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from metarl.compute.task_map import TaskMap
from metarl.math.returns import generalised_advantages, masked_mean, without_padding
from metarl.policies.policy import Distribution
from metarl.rollouts.trials import Trials


class Targets(NamedTuple):
    """What the policy and the value of a trial aim at; [task, time] each, 0 where not valid.

    Args:
        advantages: with mean 0 and standard deviation 1 over all valid steps of all ranks' tasks.
        returns: of the value.
    """

    advantages: Tensor
    returns: Tensor


class TrialLoss(NamedTuple):
    """Means over valid steps; scalars."""

    surrogate: Tensor
    value_loss: Tensor
    entropy: Tensor


def trial_targets(
    trials: Trials, values: Tensor, discount: float, gae_lambda: float, task_map: TaskMap
) -> Targets:
    """GAE along the whole trial: not cut where an episode ends, for what was learned is kept; cut at its end.

    Args:
        values: [task, time].
    """
    end = torch.zeros_like(values[:, 0])
    advantages = generalised_advantages(trials.rewards, values, end, trials.valid, discount, gae_lambda)
    returns = torch.where(trials.valid, advantages + values, 0.0)
    mean = task_map.masked_mean(advantages, trials.valid)
    deviation = task_map.masked_mean((advantages - mean).square(), trials.valid).sqrt()
    normalised = (advantages - mean) / (deviation + 1e-8)
    return Targets(torch.where(trials.valid, normalised, 0.0), returns)


def trial_loss(
    trials: Trials, targets: Targets, distribution: Distribution, values: Tensor, clip: float
) -> TrialLoss:
    """The clipped surrogate (to be maximised), the value's Huber loss and the entropy.

    Args:
        distribution: of all steps' actions, [task, time, action].
        values: [task, time].
    """
    valid = trials.valid
    log_prob = distribution.log_prob(without_padding(trials.actions, valid))
    ratio = torch.where(valid, log_prob - trials.behaviour_log_prob, 0.0).exp()
    gain = torch.minimum(ratio * targets.advantages, ratio.clamp(1 - clip, 1 + clip) * targets.advantages)
    error = torch.nn.functional.huber_loss(values, targets.returns, reduction="none")
    return TrialLoss(
        masked_mean(gain, valid), masked_mean(error, valid), masked_mean(distribution.entropy(), valid)
    )
