"""A policy with memory of a user's own, in the shape of RL^2 (Duan et al. 2016), and what trains it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metarl.compute.task_map import TaskMap
from metarl.math.gaussian import DiagonalGaussian
from metarl.math.parameters import Parameters, add_scaled
from metarl.math.returns import masked_mean
from metarl.meta_learners.learner import LearnerState, MetaLearner, Update
from metarl.policies.policy import AnyPolicy, Carry, TaskState, Transition
from metarl.rollouts.rollout import Batch, MetaBatch, next_observations


@dataclass(frozen=True)
class Elman:
    """h' = tanh(W [o, a, r, end, h]) with the last step's action, reward and end; mean = V h'.

    Args:
        width: units that remember.
    """

    observation_size: int
    action_size: int
    width: int = 8
    episode_noise_size: int = 0

    def initial_parameters(self, generator: torch.Generator) -> Parameters:
        inputs = self.observation_size + self.action_size + 2 + self.width
        return {
            "memory": torch.randn(self.width, inputs, generator=generator) / inputs**0.5,
            "mean": torch.randn(self.action_size, self.width, generator=generator) / self.width**0.5,
        }

    def begin_trial(self, parameters: Parameters, tasks: int, lanes: int) -> Carry:
        like, last = parameters["memory"], self.action_size + 2
        return {"h": like.new_zeros(tasks, lanes, self.width), "last": like.new_zeros(tasks, lanes, last)}

    def begin_episode(self, parameters: Parameters, carry: Carry, noise: Tensor) -> Carry:
        return carry

    def act(
        self, parameters: Parameters, carry: Carry, observations: Tensor
    ) -> tuple[DiagonalGaussian, Carry]:
        seen = torch.cat((observations, carry["last"], carry["h"]), dim=-1)
        h = torch.tanh(seen @ parameters["memory"].mT)
        mean = h @ parameters["mean"].mT
        return DiagonalGaussian(mean, torch.full_like(mean, -1.0)), {**carry, "h": h}

    def observe(self, parameters: Parameters, carry: Carry, step: Transition) -> Carry:
        last = torch.stack((step.rewards, step.last.to(step.rewards.dtype)), dim=-1)
        return {**carry, "last": torch.cat((step.actions, last), dim=-1)}


@dataclass(frozen=True)
class TrialConfig:
    """Settings.

    Args:
        learning_rate: of plain gradient ascent.
    """

    learning_rate: float = 0.1


def by_trials(policy: AnyPolicy, config: TrialConfig, task_map: TaskMap) -> MetaLearner:
    """Ascent up mean log pi(a | all before it) * advantage over trials; only the carry adapts."""
    assert isinstance(policy, Elman)

    def gain(theta: Parameters, trials: Batch) -> Tensor:
        return masked_mean(
            unrolled(policy, theta, trials).log_prob(trials.actions) * trials.advantages, trials.valid
        )

    def update(state: LearnerState, batch: MetaBatch) -> Update:
        gradient, value = torch.func.grad_and_value(gain)(state.parameters, batch.query)
        after = add_scaled(state.parameters, config.learning_rate, gradient)
        return Update(LearnerState(after), {"gain": value.item()})

    def adapt(state: TaskState, episodes: Batch) -> TaskState:
        return state._replace(adaptations=state.adaptations + 1)

    return MetaLearner(policy, 0, policy.initial_parameters, LearnerState, adapt, update)


def unrolled(policy: Elman, theta: Parameters, trials: Batch) -> DiagonalGaussian:
    """The distributions of a whole trial's actions, [task, episode, time, action], from its start."""
    tasks, episodes, horizon = trials.valid.shape
    carry, following = policy.begin_trial(theta, tasks, 1), next_observations(trials)
    means, log_stds = [], []
    for e in range(episodes):
        for t in range(horizon):
            active = trials.valid[:, e, t, None]
            distribution, after = policy.act(theta, carry, trials.observations[:, e, None, t])
            means.append(distribution.mean[:, 0])
            log_stds.append(distribution.log_std[:, 0])
            last = active & ~trials.valid[:, e, t + 1 : t + 2].any(-1, keepdim=True)
            step = Transition(
                trials.observations[:, e, None, t],
                trials.actions[:, e, None, t],
                trials.rewards[:, e, None, t],
                following[:, e, None, t],
                trials.terminated[:, e, None] & last,
                last,
            )
            after = policy.observe(theta, after, step)
            carry = {n: torch.where(active.unsqueeze(-1), v, carry[n]) for n, v in after.items()}
    shape = (tasks, episodes, horizon, policy.action_size)
    return DiagonalGaussian(*(torch.stack(parts, dim=1).view(shape) for parts in (means, log_stds)))
