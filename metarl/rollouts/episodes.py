"""Episodes of one task in one ordinary `gymnasium.Env`, one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import torch
from metarl_envs.foreign.adapters import apply_task
from metarl_envs.foreign.outcomes import checked_reset, checked_step
from numpy.typing import NDArray

from metarl.errors import NonFiniteError
from metarl.math.parameters import kind
from metarl.policies.policy import AnyPolicy, TaskState
from metarl.rollouts.acting import actor_of, episode_noise_size
from metarl.rollouts.recording import Recording, join_episodes
from metarl.rollouts.rollout import Rollout


class EpisodeSampler:
    """Collects episodes of one task in one environment.

    Args:
        env: takes a task by one of its hooks.
        episodes: of every rollout.
        horizon: steps after which an episode is cut off as truncated.
    """

    def __init__(
        self, env: gymnasium.Env[Any, Any], policy: AnyPolicy, *, episodes: int, horizon: int
    ) -> None:
        self._env, self._policy = env, policy
        self._episodes, self._horizon = episodes, horizon

    def collect(
        self,
        state: TaskState,
        tasks: Mapping[str, Any] | None,
        key: Sequence[int],
        *,
        deterministic: bool = False,
    ) -> Rollout:
        """Runs the policy for some episodes, each until the environment ends it or the horizon does.

        Args:
            state: parameters [1, ...] each; without a carry, a policy with memory begins a trial.
            tasks: the task, without a task axis, set before the first reset; None leaves that of the
                environment.
            key: integers that determine the action noise and the environment's seeds.
            deterministic: take the most likely actions.

        Returns:
            A rollout with one task: [1, episode, time, ...].

        Raises:
            NonFiniteError: an observation or reward that is not finite.
            ValueError: an environment that takes no task, or refuses this one; or one that returns what is no
                observation of its space, real reward or boolean end, with the episode and the step.
        """
        options = {} if tasks is None else apply_task(self._env, tasks)
        sequence = np.random.SeedSequence(list(key))
        rng = np.random.default_rng(sequence)
        dtype, device = kind(state.parameters)
        shape = (self._episodes, self._horizon, self._policy.action_size)
        drawn = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32)).to(device, dtype)
        noise = drawn.permute(1, 0, 2).unsqueeze(1)
        seeds = sequence.generate_state(self._episodes)
        shape = (1, self._episodes, episode_noise_size(self._policy))
        beginnings = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32)).to(device, dtype)
        actor, played = actor_of(self._policy, state, 1, 1), []
        with torch.no_grad():
            for episode in range(self._episodes):
                each = slice(episode, episode + 1)
                actor.begin_episode(beginnings[:, each])
                size = self._policy.observation_size
                recording = Recording(actor, noise[:, :, each], size, deterministic=deterministic)
                seed = int(seeds[episode])
                played.append(self._play(recording, seed, options, f"episode {episode}", tasks))
        return replace(join_episodes(played), carry=actor.carry)

    def _play(
        self,
        recording: Recording,
        seed: int,
        options: dict[str, Any],
        episode: str,
        task: Mapping[str, Any] | None,
    ) -> Rollout:
        env, space = self._env, self._env.observation_space
        observation = checked_reset(env.reset(seed=seed, options=options), space, episode)
        _check_finite("observation from reset", observation, episode, task)
        for t in range(self._horizon):
            action = recording.act(_row(observation), t)[0]
            place = f"{episode}, step {t}"
            outcome = checked_step(env.step(within(env.action_space, action)), space, place)
            observation = outcome.observation
            _check_finite("observation", observation, place, task)
            _check_finite("reward", np.array(outcome.reward), place, task)
            reward, terminated, truncated = (np.array([value]) for value in outcome[1:])
            if recording.record(_row(observation), reward, terminated, truncated, {}, t).all():
                break
        return recording.rollout(_row(observation))


def within(space: gymnasium.Space[Any], action: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The action clipped to a box, in its shape and type.

    Raises:
        TypeError: the space is not a box.
    """
    if not isinstance(space, gymnasium.spaces.Box):
        raise TypeError(f"expected a continuous (Box) action space, got {space}")
    batch = action.shape[:-1]
    return np.clip(action.reshape(*batch, *space.shape), space.low, space.high).astype(space.dtype)


def _row(observation: NDArray[Any]) -> NDArray[Any]:
    """An observation of any shape as [1, observation]."""
    return observation.astype(np.float64).reshape(1, -1)


def _check_finite(what: str, values: NDArray[Any], place: str, task: Mapping[str, Any] | None) -> None:
    if np.isfinite(values).all():
        return
    plain = task and {name: np.asarray(value).tolist() for name, value in task.items()}
    named = f"task {plain}" if plain else "the environment's own task"
    raise NonFiniteError(f"{what} {values.tolist()} in {place}", 0, named)
