"""From rollouts to batches: baseline fit, GAE, normalisation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jsonargparse.typing import ClosedUnitInterval
from torch import Tensor

from metarl.compute.pieces import in_pieces
from metarl.math.returns import discounted_returns, generalised_advantages, normalise_per_task
from metarl.rollouts import linear_features
from metarl.rollouts.rollout import SEED, Batch, Rollout


@dataclass(frozen=True)
class AdvantageConfig:
    """How advantages are estimated.

    Args:
        discount: gamma, in [0, 1].
        gae_lambda: lambda in [0, 1]; 1 is the discounted return less the baseline.
        bootstrap_truncated: value the state after a truncated episode with the baseline instead of 0,
            the papers' finite-horizon convention.
        normalise: subtract the mean and divide by the standard deviation, per task.
    """

    discount: ClosedUnitInterval = 0.99
    gae_lambda: ClosedUnitInterval = 1.0
    bootstrap_truncated: bool = False
    normalise: bool = True


def compute_advantages(rollout: Rollout, config: AdvantageConfig) -> tuple[Batch, Tensor]:
    """Fits each task's baseline to its own rollout and estimates advantages with it.

    Returns:
        The batch, and the share of the returns' variance that the baseline explains, [task].
    """

    def estimate(*of_tasks: Tensor) -> tuple[Tensor, Tensor]:
        return _advantages(config, *of_tasks)

    read = (rollout.observations, rollout.rewards, rollout.valid, rollout.final_observations)
    advantages, explained = in_pieces(estimate, *read, rollout.terminated)
    return batch_of(rollout, advantages), explained


def _advantages(
    config: AdvantageConfig,
    observations: Tensor,
    rewards: Tensor,
    valid: Tensor,
    final_observations: Tensor,
    terminated: Tensor,
) -> tuple[Tensor, Tensor]:
    """Of some of a rollout's tasks: advantages, and the share of the returns' variance explained."""
    kind, rewards = rewards.dtype, rewards.double()
    time = torch.arange(rewards.shape[-1], device=rewards.device).expand_as(rewards)
    inputs = linear_features.features(observations, time)
    returns = discounted_returns(rewards, valid, config.discount)
    weights = linear_features.fit(inputs, returns, valid)
    values = linear_features.predict(weights, inputs)
    final_values = torch.zeros_like(values[..., 0])
    if config.bootstrap_truncated:
        final_inputs = linear_features.features(final_observations, valid.sum(-1))
        bootstrap = linear_features.predict(weights, final_inputs)
        final_values = torch.where(terminated, 0.0, bootstrap)
    advantages = generalised_advantages(
        rewards, values, final_values, valid, config.discount, config.gae_lambda
    )
    if config.normalise:
        advantages = normalise_per_task(advantages, valid)
    return advantages.to(kind), _explained_variance(returns, values, valid)


def batch_of(rollout: Rollout, advantages: Tensor) -> Batch:
    """The rollout as losses read it.

    Args:
        advantages: [task, episode, time].
    """
    return Batch(
        observations=rollout.observations,
        actions=rollout.actions,
        rewards=rollout.rewards,
        advantages=advantages,
        valid=rollout.valid,
        terminated=rollout.terminated,
        final_observations=rollout.final_observations,
        behaviour=rollout.behaviour,
        behaviour_log_prob=rollout.behaviour_log_prob,
        extras={} if rollout.seeds is None else {SEED: rollout.seeds},
    )


def _explained_variance(returns: Tensor, values: Tensor, valid: Tensor) -> Tensor:
    """1 - Var(returns - values) / Var(returns) over valid steps; [task]."""

    def variance(x: Tensor) -> Tensor:
        count = valid.sum((-2, -1))
        mean = torch.where(valid, x, 0.0).sum((-2, -1)) / count
        return torch.where(valid, (x - mean[:, None, None]).square(), 0.0).sum((-2, -1)) / count

    return 1 - variance(returns - values) / variance(returns).clamp(min=1e-12)
