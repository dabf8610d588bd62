"""Walks of sampling and adapting in an environment that shows what it is given, retraced by references."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import torch
from metarl_envs.foreign.foreign_vector_env import ForeignVectorEnv
from torch import Tensor

from metarl.compute.task_map import select_task
from metarl.math.gaussian import DiagonalGaussian
from metarl.policies.policy import Policy
from metarl.rollouts.rollout import Batch, Rollout
from metarl.rollouts.sampler import RolloutSampler
from tests.support.references import Theta, network, path
from tests.support.slow_advantages import episodes_of, slow_advantages
from tests.support.tiny_envs import Echo

GOALS = [-3.0, 0.5, 4.0]
EPISODES, HORIZON = 6, 5
SETTINGS = {"discount": 0.9, "gae_lambda": 0.6, "bootstrap_truncated": True, "normalise": True}
"""Of `AdvantageConfig`."""


class Kept(RolloutSampler):
    """A sampler of `Echo` that keeps what it collects, and says that 1, 2, ... of its episodes diverged."""

    def __init__(self, policy: Policy) -> None:
        envs = ForeignVectorEnv(Echo, len(GOALS) * EPISODES, "sync")
        device = torch.device("cpu")
        super().__init__(envs, policy, episodes_per_task=EPISODES, horizon=HORIZON, device=device)
        self.rollouts: list[Rollout] = []

    def collect(self, *arguments: Any, **options: Any) -> Rollout:
        rollout = super().collect(*arguments, **options)
        self.rollouts.append(replace(rollout, diverged_episodes=len(self.rollouts) + 1))
        return self.rollouts[-1]


class Diary(Echo):
    """Writes down what it is given and gives."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: list[list[Any]] = []
        self._done: list[list[Any]] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        observation, info = super().reset(seed=seed, options=options)
        self._seen.append([observation])
        self._done.append([])
        return observation, info

    def step(self, action: Any) -> Any:
        result = super().step(action)
        self._seen[-1].append(result[0])
        self._done[-1].append((action.copy(), result[1], result[2]))
        return result

    def rollouts(self, episodes: int) -> list[Rollout]:
        """One task's rollouts of so many episodes each; nothing is known of the policies."""
        return [self._rollout(range(at, at + episodes)) for at in range(0, len(self._done), episodes)]

    def _rollout(self, numbers: range) -> Rollout:
        observations, actions = torch.zeros(2, 1, len(numbers), HORIZON, 3, dtype=torch.float64)
        actions, rewards = (
            actions[..., :2].clone(),
            torch.zeros(1, len(numbers), HORIZON, dtype=torch.float64),
        )
        valid = torch.zeros_like(rewards, dtype=torch.bool)
        final, over = torch.zeros_like(observations[:, :, 0]), torch.zeros(1, len(numbers), dtype=torch.bool)
        for e, number in enumerate(numbers):
            for t, (action, reward, terminated) in enumerate(self._done[number]):
                observations[0, e, t] = torch.from_numpy(self._seen[number][t])
                actions[0, e, t] = torch.from_numpy(action)
                rewards[0, e, t], valid[0, e, t], over[0, e] = reward, True, bool(terminated)
            final[0, e] = torch.from_numpy(self._seen[number][-1])
        unknown = DiagonalGaussian(torch.zeros_like(actions), torch.zeros_like(actions))
        return Rollout(observations, actions, rewards, valid, over, ~over, final, unknown, rewards)


def slow_batch(rollout: Rollout, task: int) -> Batch:
    """One task's batch [episode, time, ...], its advantages by the slow loop."""
    advantages = torch.zeros(rollout.rewards.shape[1:], dtype=torch.float64)
    for episode, values in enumerate(slow_advantages(episodes_of(rollout, task), **SETTINGS)[0]):
        advantages[episode, : len(values)] = torch.tensor(values, dtype=torch.float64)
    return Batch(
        rollout.observations[task],
        rollout.actions[task],
        rollout.rewards[task],
        advantages,
        rollout.valid[task],
        rollout.terminated[task],
        rollout.final_observations[task],
        select_task(rollout.behaviour, task),
        rollout.behaviour_log_prob[task],
    )


def retraced(theta: Theta, rollouts: list[Rollout], config: Any) -> list[list[Theta]]:
    """theta^0, theta^1, ... of every task by plain autograd on these rollouts; [task][step]."""
    found = []
    for task in range(len(rollouts[0].valid)):
        support = [slow_batch(rollout, task) for rollout in rollouts]
        start = {name: value.clone() for name, value in theta.items()}
        passed = path("maml", start, support, config, lambda k: True)
        found.append([{n: value.detach() for n, value in at.items()} for at in passed])
    return found


def noise_of(rollout: Rollout, per_task: list[Theta]) -> Tensor:
    """The numbers (action - mean) / std by which these policies act as seen, NaN after an episode's end."""
    found = torch.full_like(rollout.actions, torch.nan)
    for task, theta in enumerate(per_task):
        mean, log_std = network(theta, rollout.observations[task])
        found[task] = (rollout.actions[task] - mean) / log_std.exp()
    found[~rollout.valid] = torch.nan
    return found


def assert_seen(rollout: Rollout, goals: list[float]) -> None:
    """Every observation shows its task's goal and the action before it."""
    goes_on = rollout.valid[..., 1:]
    shown = rollout.observations[..., 1:, 2][goes_on]
    torch.testing.assert_close(shown, rollout.actions[..., :-1, 0][goes_on], rtol=1e-12, atol=0)
    last = (rollout.valid.sum(-1) - 1)[..., None]
    final = rollout.actions[..., 0].gather(-1, last)[..., 0]
    torch.testing.assert_close(rollout.final_observations[..., 2], final, rtol=1e-12, atol=0)
    for task, goal in enumerate(goals):
        assert (rollout.observations[task][rollout.valid[task]][:, 0] == goal).all()


def assert_fresh(noises: list[Tensor]) -> None:
    """Standard normal, and no number twice in any rollout, task, episode or step."""
    every = torch.cat([noise[~noise.isnan()] for noise in noises])
    assert (every.sort().values.diff() > 1e-9).all()
    assert abs(every.mean()) < 0.4
    assert 0.75 < every.std() < 1.25
    for one, other in combinations(noises, 2):
        both = ~(one.isnan() | other.isnan())
        assert abs(torch.corrcoef(torch.stack((one[both], other[both])))[0, 1]) < 0.6


def assert_starts_differ(rollouts: list[Rollout]) -> None:
    starts = torch.cat([rollout.observations[:, :, 0, 1].flatten() for rollout in rollouts])
    assert len(starts.unique()) == len(starts)
