"""All episodes of all tasks of a meta-batch, in one vector environment, each task with its own policy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch
from metarl_envs.foreign.foreign_vector_env import ForeignEnvError
from metarl_envs.foreign.outcomes import REAL
from metarl_envs.tasks import Tasks, number_of_tasks, repeat_tasks
from numpy.typing import NDArray
from torch import Tensor

from metarl.errors import NonFiniteError
from metarl.math.gaussian import DiagonalGaussian, log_prob
from metarl.math.parameters import Parameters
from metarl.policies.policy import Policy
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

    Args:
        envs: holds tasks x episodes_per_task environments.
        policy: called once a step for all of them.
        episodes_per_task: episodes of each task.
        horizon: steps after which an episode is cut off as truncated.
        device: where the policy runs and the rollout lies.
    """

    def __init__(
        self,
        envs: TaskVectorEnv,
        policy: Policy,
        *,
        episodes_per_task: int,
        horizon: int,
        device: torch.device,
    ) -> None:
        self._envs = envs
        self._policy = policy
        self._episodes = episodes_per_task
        self._horizon = horizon
        self._device = device

    def collect(
        self, parameters: Parameters, tasks: Tasks, key: Sequence[int], *, deterministic: bool = False
    ) -> Rollout:
        """Runs every task's episodes with that task's parameters.

        Args:
            parameters: [task, ...] each.
            tasks: as many as the environments hold.
            key: integers that determine the start states and the action noise, task by task.
            deterministic: take the mean actions.

        Raises:
            NonFiniteError: an observation, reward or action that is not finite.
            ForeignEnvError: environments that failed, or returned arrays of another shape or type.
            ValueError: another number of tasks than the environments hold.
        """
        count, num_envs = number_of_tasks(tasks), self._envs.num_envs
        if count * self._episodes != num_envs:
            raise ValueError(
                f"expected {num_envs} environments to hold {count} tasks x {self._episodes} episodes"
            )
        self._envs.set_tasks(repeat_tasks(tasks, self._episodes))
        seeds = np.concatenate(
            [self._sequence(key, i, 0).generate_state(self._episodes) for i in range(count)]
        )
        observation, _ = self._envs.reset(seed=seeds.tolist())
        observed, each = (num_envs, self._policy.observation_size), (num_envs,)
        _check_form("observations", observation, observed, REAL, "reset")
        self._check("observation from reset", observation)
        with _one_torch_thread(), torch.no_grad():
            noise = self._noise(parameters, key, count) * (not deterministic)
            recording = _Recording(self._policy, parameters, noise)
            for t in range(self._horizon):
                actions = recording.act(observation, t)
                self._check("action", actions)
                observation, reward, terminated, truncated, info = self._envs.step(actions)
                _check_form("observations", observation, observed, REAL, f"step {t}")
                _check_form("rewards", reward, each, REAL, f"step {t}")
                _check_form("terminated", terminated, each, "b", f"step {t}")
                _check_form("truncated", truncated, each, "b", f"step {t}")
                self._check("observation", observation)
                self._check("reward", reward)
                finished = recording.record(reward, terminated, truncated, info, t)
                if finished.all():
                    break
            return recording.rollout(observation)

    def close(self) -> None:
        """Closes the environments."""
        self._envs.close()

    def _noise(self, parameters: Parameters, key: Sequence[int], count: int) -> Tensor:
        """Standard normal action noise, [time, task, episode, action], drawn per task."""
        dtype = next(iter(parameters.values())).dtype
        shape = (self._horizon, self._episodes, self._policy.action_size)
        noise = [
            np.random.default_rng(self._sequence(key, i, 1)).standard_normal(shape, dtype=np.float32)
            for i in range(count)
        ]
        return torch.from_numpy(np.stack(noise, axis=1)).to(self._device, dtype)

    @staticmethod
    def _sequence(key: Sequence[int], task: int, purpose: int) -> np.random.SeedSequence:
        return np.random.SeedSequence([*key, task, purpose])

    def _check(self, what: str, values: NDArray[Any]) -> None:
        if np.isfinite(values).all():
            return
        env = int(np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(-1))[0])
        task, episode = divmod(env, self._episodes)
        raise NonFiniteError(f"{what} {values[env].tolist()} in episode {episode}", task)


class _Recording:
    """The buffers of one rollout, time first so that a step is contiguous, and the policy that fills them.

    On a GPU, observations and actions cross through pinned host buffers, and the one wait a step is
    for the action.
    """

    def __init__(self, policy: Policy, parameters: Parameters, noise: Tensor) -> None:
        self._policy, self._parameters, self._noise = policy, parameters, noise
        self._shape = noise.shape[1:3]
        device, dtype = noise.device, noise.dtype
        horizon, (tasks, episodes) = len(noise), self._shape
        envs, pinned = tasks * episodes, device.type == "cuda"
        size, actions = policy.observation_size, noise.shape[-1]
        self._observation_host = torch.empty(envs, size, dtype=dtype, pin_memory=pinned)
        self._action_host = torch.empty(envs, actions, dtype=dtype, pin_memory=pinned)
        self._observations = torch.zeros(horizon, *self._shape, size, device=device, dtype=dtype)
        self._means = torch.zeros_like(noise)
        self._log_stds = torch.zeros_like(noise)
        self._rewards = np.zeros((horizon, envs))
        self._valid = np.zeros((horizon, envs), dtype=np.bool_)
        self._terminated = np.zeros(envs, dtype=np.bool_)
        self._truncated = np.zeros(envs, dtype=np.bool_)
        self._diverged = np.zeros(envs, dtype=np.bool_)

    def act(self, observation: NDArray[Any], t: int) -> NDArray[Any]:
        """Draws the actions of all environments, [env, action]; the array is reused."""
        self._observation_host.copy_(torch.from_numpy(observation))
        current = self._observations[t]
        current.copy_(self._observation_host.view(current.shape), non_blocking=True)
        mean, log_std = self._policy(self._parameters, current)
        self._means[t], self._log_stds[t] = mean, log_std
        action = torch.addcmul(mean, log_std.exp(), self._noise[t])
        self._action_host.copy_(action.view(self._action_host.shape))
        return self._action_host.numpy()

    def record(
        self,
        reward: NDArray[Any],
        terminated: NDArray[Any],
        truncated: NDArray[Any],
        info: dict[str, Any],
        t: int,
    ) -> NDArray[np.bool_]:
        """Stores a step's outcome; returns which episodes are over, [env]."""
        self._valid[t] = ~(self._terminated | self._truncated)
        self._rewards[t] = reward
        self._terminated, self._truncated = terminated, truncated
        if "diverged" in info:
            self._diverged |= info["diverged"]
        return self._terminated | self._truncated

    def rollout(self, final_observation: NDArray[Any]) -> Rollout:
        """The finished rollout; episodes still running are truncated at the horizon."""
        device, dtype = self._noise.device, self._noise.dtype
        behaviour = DiagonalGaussian(_time_last(self._means), _time_last(self._log_stds))
        actions = torch.addcmul(behaviour.mean, behaviour.log_std.exp(), _time_last(self._noise))

        def by_task(values: NDArray[Any]) -> Tensor:
            return torch.from_numpy(values).view(*self._shape, *values.shape[1:]).to(device)

        return Rollout(
            observations=_time_last(self._observations),
            actions=actions,
            rewards=by_task(np.ascontiguousarray(self._rewards.T)).to(dtype),
            valid=by_task(np.ascontiguousarray(self._valid.T)),
            terminated=by_task(self._terminated),
            truncated=by_task(~self._terminated),
            final_observations=by_task(final_observation).to(dtype),
            behaviour=behaviour,
            behaviour_log_prob=log_prob(behaviour, actions),
            diverged_episodes=int(self._diverged.sum()),
        )


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


def _time_last(values: Tensor) -> Tensor:
    """[time, task, episode, x] -> [task, episode, time, x]."""
    return values.permute(1, 2, 0, 3).contiguous()


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    """Torch's threads and the simulator's would fight over the same cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
