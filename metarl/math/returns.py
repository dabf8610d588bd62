"""Discounted returns, generalised advantage estimation and masked moments, on [..., time]."""

from __future__ import annotations

import torch
from torch import Tensor


def discounted_returns(rewards: Tensor, valid: Tensor, discount: float) -> Tensor:
    """Sum over the rest of the episode of discount^k r_{t+k}.

    Args:
        rewards: [..., time].
        valid: [..., time] bool, False after an episode's end; what stands there is not read.

    Returns:
        [..., time], 0 where not valid.
    """
    returns = torch.zeros_like(rewards)
    following = torch.zeros_like(rewards[..., 0])
    for t in reversed(range(rewards.shape[-1])):
        following = torch.where(valid[..., t], rewards[..., t] + discount * following, 0.0)
        returns[..., t] = following
    return returns


def generalised_advantages(
    rewards: Tensor, values: Tensor, final_values: Tensor, valid: Tensor, discount: float, gae_lambda: float
) -> Tensor:
    """GAE(discount, lambda): sum over k of (discount lambda)^k delta_{t+k} (Schulman et al. 2016, eq. 16).

    Args:
        rewards, values: [..., time].
        final_values: [...], value of the state after the episode's last step: 0 where it terminated.
        valid: [..., time] bool, a prefix of each episode.

    Returns:
        [..., time], 0 where not valid.
    """
    advantages = torch.zeros_like(rewards)
    next_value = final_values
    following = torch.zeros_like(final_values)
    for t in reversed(range(rewards.shape[-1])):
        delta = rewards[..., t] + discount * next_value - values[..., t]
        following = torch.where(valid[..., t], delta + discount * gae_lambda * following, 0.0)
        next_value = torch.where(valid[..., t], values[..., t], final_values)
        advantages[..., t] = following
    return advantages


def without_padding(values: Tensor, valid: Tensor) -> Tensor:
    """Values [..., time, x] with 0 where not valid [..., time]."""
    return torch.where(valid.unsqueeze(-1), values, 0.0)


def masked_mean(values: Tensor, valid: Tensor) -> Tensor:
    """Mean over all valid entries; a scalar."""
    return torch.where(valid, values, 0.0).sum() / valid.sum()


def normalise_per_task(values: Tensor, valid: Tensor, epsilon: float = 1e-8) -> Tensor:
    """Subtracts the mean and divides by the standard deviation of each task's valid entries.

    Args:
        values, valid: [task, episode, time].

    Returns:
        [task, episode, time], 0 where not valid.
    """
    count = valid.sum((-2, -1), keepdim=True)
    mean = torch.where(valid, values, 0.0).sum((-2, -1), keepdim=True) / count
    centred = torch.where(valid, values - mean, 0.0)
    deviation = (centred.square().sum((-2, -1), keepdim=True) / count).sqrt()
    return centred / (deviation + epsilon)
