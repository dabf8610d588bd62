"""All episodes of all tasks of a meta-batch, in one vector environment, each task with its own policy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch
from metarl_envs.arguments import REAL
from metarl_envs.foreign.foreign_vector_env import ForeignEnvError
from metarl_envs.tasks import Tasks, number_of_tasks, repeat_tasks
from numpy.typing import NDArray
from torch import Tensor

from metarl.errors import NonFiniteError
from metarl.math.parameters import kind
from metarl.policies.policy import AnyPolicy, TaskState, remembers
from metarl.rollouts.acting import actor_of, episode_noise_size
from metarl.rollouts.random_keys import ACTIONS, BEGINNINGS, LEARNING, STARTS
from metarl.rollouts.recording import Recording, join_episodes
from metarl.rollouts.rollout import Rollout


class TaskVectorEnv(Protocol):
    """What the sampler asks of environments: `metarl_envs.VectorTaskEnv`, or an adapter of others.

    A finished environment must be held until reset: not stepped, its flags and observation kept.
    """

    num_envs: int

    def set_tasks(self, tasks: Mapping[str, Any]) -> None: ...

    def reset(self, *, seed: Sequence[int]) -> tuple[NDArray[Any], dict[str, Any]]: ...

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]: ...

    def close(self) -> None: ...


class RolloutSampler:
    """Collects rollouts; randomness comes from the key alone, so that a rollout can be repeated.

    A task's episodes run side by side, each in an environment of its own. Those of a policy with memory run
    one after the other in one environment, and the policy carries what it knows from each to the next: a
    trial. A task's trials run side by side; a rollout has their first episodes, then their second ones, ...

    Args:
        envs: holds tasks x `lanes_of(policy, episodes_per_task, trials)` environments.
        policy: called once per step for all of them.
        episodes_per_task: episodes of each task, or of each of its trials.
        horizon: steps after which an episode is cut off as truncated.
        device: where the policy runs and the rollout lies.
        first_task: the first task's number among those of all ranks.
        trials: of each task, of a policy with memory.
    """

    def __init__(
        self,
        envs: TaskVectorEnv,
        policy: AnyPolicy,
        *,
        episodes_per_task: int,
        horizon: int,
        device: torch.device,
        first_task: int = 0,
        trials: int = 1,
    ) -> None:
        self._envs = envs
        self._policy = policy
        self._episodes = episodes_per_task * (trials if remembers(policy) else 1)
        self._lanes = lanes_of(policy, episodes_per_task, trials)
        self._horizon = horizon
        self._device = device
        self._first_task = first_task

    def collect(
        self,
        state: TaskState,
        tasks: Tasks,
        key: Sequence[int],
        *,
        deterministic: bool = False,
    ) -> Rollout:
        """Runs every task's episodes with that task's parameters and carry.

        Args:
            state: parameters [task, ...] each; without a carry, a policy with memory begins a trial.
            tasks: as many as the environments hold.
            key: integers that determine the start states and the action noise, each task by its number.
            deterministic: take the most likely actions.

        Raises:
            NonFiniteError: an observation, reward or action that is not finite.
            ForeignEnvError: environments that failed, or returned arrays of another shape or type.
            ValueError: another number of tasks than the environments hold.
        """
        count, num_envs = number_of_tasks(tasks), self._envs.num_envs
        if count * self._lanes != num_envs:
            raise ValueError(
                f"expected {num_envs} environments to hold {count} tasks x {self._lanes} episodes at once"
            )
        self._envs.set_tasks(repeat_tasks(tasks, self._lanes))
        numbers = range(self._first_task, self._first_task + count)
        seeds = np.stack([_sequence(key, i, STARTS).generate_state(self._episodes) for i in numbers])
        with _one_torch_thread(), torch.no_grad():
            shape = (self._horizon, self._episodes, self._policy.action_size)
            noise = self._noise(state, key, numbers, ACTIONS, shape)
            shape = (1, self._episodes, episode_noise_size(self._policy))
            beginnings = self._noise(state, key, numbers, BEGINNINGS, shape)[0]
            actor, rounds = actor_of(self._policy, state, count, self._lanes), []
            for first in range(0, self._episodes, self._lanes):
                each = slice(first, first + self._lanes)
                actor.begin_episode(beginnings[:, each])
                size = self._policy.observation_size
                recording = Recording(actor, noise[:, :, each], size, deterministic=deterministic)
                rounds.append(self._run(recording, seeds[:, each]))
            drawn = [_sequence(key, i, LEARNING).generate_state(1, np.uint64) >> 1 for i in numbers]
            learning = torch.from_numpy(np.concatenate(drawn).astype(np.int64)).to(self._device)
            return replace(join_episodes(rounds), carry=actor.carry, seeds=learning)

    def close(self) -> None:
        """Closes the environments."""
        self._envs.close()

    def _run(self, recording: Recording, seeds: NDArray[Any]) -> Rollout:
        """The episodes of all lanes, from seeds [task, lane]."""
        num_envs = self._envs.num_envs
        observation, _ = self._envs.reset(seed=seeds.ravel().tolist())
        observed, each = (num_envs, self._policy.observation_size), (num_envs,)
        _check_form("observations", observation, observed, REAL, "reset")
        self._check("observation from reset", observation)
        for t in range(self._horizon):
            actions = recording.act(observation, t)
            self._check("action", actions, of_learner=True)
            observation, reward, terminated, truncated, info = self._envs.step(actions)
            _check_form("observations", observation, observed, REAL, f"step {t}")
            _check_form("rewards", reward, each, REAL, f"step {t}")
            _check_form("terminated", terminated, each, "b", f"step {t}")
            _check_form("truncated", truncated, each, "b", f"step {t}")
            self._check("observation", observation)
            self._check("reward", reward)
            finished = recording.record(observation, reward, terminated, truncated, info, t)
            if finished.all():
                break
        return recording.rollout(observation)

    def _noise(
        self, state: TaskState, key: Sequence[int], numbers: range, purpose: int, shape: tuple[int, ...]
    ) -> Tensor:
        """Standard normal noise of every task, [time, task, episode, x], from shapes [time, episode, x]."""
        noise = [
            np.random.default_rng(_sequence(key, i, purpose)).standard_normal(shape, dtype=np.float32)
            for i in numbers
        ]
        return torch.from_numpy(np.stack(noise, axis=1)).to(self._device, kind(state.parameters)[0])

    def _check(self, what: str, values: NDArray[Any], *, of_learner: bool = False) -> None:
        if np.isfinite(values).all():
            return
        env = int(np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(-1))[0])
        task, episode = divmod(env, self._lanes)
        found = f"{what} {values[env].tolist()} in episode {episode}"
        raise NonFiniteError(found, task, of_learner=of_learner)


def lanes_of(policy: AnyPolicy, episodes: int, trials: int = 1) -> int:
    """How many of a task's episodes run side by side: all, or one per trial where the policy remembers."""
    return trials if remembers(policy) else episodes


def _sequence(key: Sequence[int], task: int, purpose: int) -> np.random.SeedSequence:
    return np.random.SeedSequence([*key, task, purpose])


def _check_form(what: str, values: Any, shape: tuple[int, ...], kinds: str, place: str) -> None:
    """One look at the arrays of all environments: NumPy would stretch and convert others."""
    if isinstance(values, np.ndarray) and values.shape == shape and values.dtype.kind in kinds:
        return
    kind = "booleans" if kinds == "b" else "real numbers"
    array = isinstance(values, np.ndarray)
    got = f"{values.dtype} of shape {list(values.shape)}" if array else type(values).__name__
    raise ForeignEnvError(
        f"expected {what} as an array of {kind} of shape {list(shape)}, got {got} in {place} of all episodes"
    )


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    """Torch's threads and the simulator's would fight over the same cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
