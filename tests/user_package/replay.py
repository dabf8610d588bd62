"""A meta-learner of a user's own that learns from replayed transitions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from metarl.compute.task_map import TaskMap
from metarl.math.parameters import Parameters, add_scaled
from metarl.meta_learners.learner import LearnerState, MetaLearner, Update
from metarl.policies.policy import Policy, TaskState
from metarl.rollouts.rollout import Batch, MetaBatch, next_observations


class Memory(NamedTuple):
    """Transitions of all iterations, the newest last."""

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    next_observations: Tensor


@dataclass(frozen=True)
class ReplayConfig:
    """Settings.

    Args:
        capacity: transitions that are kept.
        learning_rate: of plain gradient ascent.
    """

    capacity: int = 150
    learning_rate: float = 0.01


def replay(policy: Policy, config: ReplayConfig, task_map: TaskMap) -> MetaLearner:
    """Ascent up the mean of log pi(a | s) r over the memory."""

    def start(parameters: Parameters) -> LearnerState:
        observed, acted = torch.empty(0, policy.observation_size), torch.empty(0, policy.action_size)
        return LearnerState(parameters, Memory(observed, acted, torch.empty(0), observed))

    def update(state: LearnerState, batch: MetaBatch) -> Update:
        memory = remembered(state.optimiser, batch.query, config.capacity)

        def gain(theta: Parameters) -> Tensor:
            density = policy(theta, memory.observations).log_prob(memory.actions)
            return (density * memory.rewards).mean()

        gradient = torch.func.grad(gain)(state.parameters)
        after = add_scaled(state.parameters, config.learning_rate, gradient)
        return Update(LearnerState(after, memory), {"memory": float(len(memory.rewards))})

    def adapt(state: TaskState, episodes: Batch) -> TaskState:
        return state._replace(adaptations=state.adaptations + 1)

    return MetaLearner(policy, 0, policy.initial_parameters, start, adapt, update)


def remembered(memory: Memory, batch: Batch, capacity: int) -> Memory:
    """The memory with the batch's transitions, without the oldest beyond its capacity."""
    parts = (batch.observations, batch.actions, batch.rewards, next_observations(batch))
    new = Memory(*(part[batch.valid] for part in parts))
    return Memory(*(torch.cat(pair)[-capacity:] for pair in zip(memory, new, strict=True)))
