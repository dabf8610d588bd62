"""Trials: a task's episodes joined, one after the other, into one sequence without gaps."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from metarl.rollouts.rollout import Batch, Rollout, next_observations


class Trials(NamedTuple):
    """One sequence per task; padding stands at its end and means nothing.

    Args:
        observations: [task, time, observation].
        actions: [task, time, action].
        rewards, behaviour_log_prob: [task, time].
        next_observations: [task, time, observation], what followed; an episode's final one at last.
        last: [task, time] bool, the last step of an episode.
        valid: [task, time] bool, a prefix.
        features: [task, time, x], what a learner's networks see in place of the observation; none here.
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    behaviour_log_prob: Tensor
    next_observations: Tensor
    last: Tensor
    valid: Tensor
    features: Tensor


def join_trials(batch: Batch | Rollout) -> Trials:
    """The episodes [task, episode, time, ...] of every task in turn, without the padding between them."""
    valid = batch.valid
    last = valid & ~torch.nn.functional.pad(valid[..., 1:], (0, 1))
    order = torch.argsort(~valid.flatten(1), dim=1, stable=True)

    def joined(values: Tensor) -> Tensor:
        flat = values.flatten(1, 2)
        index = order.view(*order.shape, *[1] * (flat.ndim - 2)).expand_as(flat)
        return flat.gather(1, index)

    observations = joined(batch.observations)
    return Trials(
        observations,
        joined(batch.actions),
        joined(batch.rewards),
        joined(batch.behaviour_log_prob),
        joined(next_observations(batch)),
        joined(last),
        joined(valid),
        observations[..., :0],
    )
