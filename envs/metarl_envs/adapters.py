"""Any other gymnasium environment that takes tasks, behind the interface of `VectorTaskEnv`.

A task reaches the environment through the first of these that it has: `set_task(task)`,
`reset_task(task)`, `reset(options={"task": task})`.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from numpy.typing import NDArray

from metarl_envs.tasks import Tasks, stack_tasks, unstack_tasks

AnyEnv = gymnasium.Env[Any, Any]


def apply_task(env: AnyEnv, task: Mapping[str, Any]) -> dict[str, Any]:
    """Gives the environment its task; returns the options its next `reset` needs."""
    for hook in ("set_task", "reset_task"):
        method = getattr(env.unwrapped, hook, None)
        if method is not None:
            method(dict(task))
            return {}
    return {"task": dict(task)}


class HeldEpisode(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Holds an environment at its episode's end until it is reset, as `VectorTaskEnv` does.

    The ends are told in `info["episode_terminated"]` and `info["episode_truncated"]`; the flags
    that `step` returns stay False, since Gymnasium's vector environments do not step past them.
    """

    def __init__(self, env: AnyEnv) -> None:
        super().__init__(env)
        self.task: Mapping[str, Any] | None = None
        self._last: tuple[Any, bool, bool] = (None, False, False)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        options = dict(options or {})
        if self.task is not None:
            options |= apply_task(self.env, self.task)
        observation, info = self.env.reset(seed=seed, options=options)
        self._last = (observation, False, False)
        return observation, info

    def step(self, action: Any) -> Any:
        observation, terminated, truncated = self._last
        reward: Any = 0.0
        if not (terminated or truncated):
            observation, reward, terminated, truncated, _ = self.env.step(action)
            self._last = (observation, bool(terminated), bool(truncated))
        info = {"episode_terminated": bool(terminated), "episode_truncated": bool(truncated)}
        return observation, float(reward), False, False, info


class ForeignVectorEnv:
    """N copies of an environment through Gymnasium's Sync- or AsyncVectorEnv.

    Args:
        make_env: builds one copy.
        num_envs: copies.
        mode: "sync" steps them in turn, "async" in a process each.
    """

    def __init__(self, make_env: Callable[[], AnyEnv], num_envs: int, mode: Literal["sync", "async"]) -> None:
        vector = SyncVectorEnv if mode == "sync" else AsyncVectorEnv
        copies = [lambda: HeldEpisode(make_env())] * num_envs
        # A forked process that collects a threaded simulation as garbage would wait for its threads for ever.
        gc.collect()
        self._envs: Any = vector(copies, autoreset_mode=AutoresetMode.DISABLED)
        self.num_envs = num_envs
        self.single_observation_space = self._envs.single_observation_space
        self.single_action_space = self._envs.single_action_space

    def set_tasks(self, tasks: Mapping[str, Any]) -> None:
        """Gives copy i the i-th task at its next reset; a dict of arrays [env, ...]."""
        self._envs.set_attr("task", list(unstack_tasks(tasks)))

    def reset(self, *, seed: Sequence[int]) -> tuple[NDArray[Any], dict[str, Any]]:
        observation, info = self._envs.reset(seed=list(seed))
        return observation.reshape(self.num_envs, -1), info

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        space: Any = self.single_action_space
        shaped = actions.reshape(self.num_envs, *space.shape)
        clipped = np.clip(shaped, space.low, space.high).astype(space.dtype)
        observation, reward, _, _, info = self._envs.step(clipped)
        return (
            observation.reshape(self.num_envs, -1),
            reward,
            info["episode_terminated"],
            info["episode_truncated"],
            {},
        )

    def close(self) -> None:
        self._envs.close()


class SampledTasks:
    """The tasks of an environment with `sample_tasks(n)`, drawn from the environment's own generator."""

    def __init__(self, env: AnyEnv) -> None:
        if not hasattr(env.unwrapped, "sample_tasks"):
            raise ValueError(
                f"expected {env.unwrapped} to have sample_tasks(n), which returns a list of task dicts"
            )
        self._env = env

    def sample(self, n: int, rng: np.random.Generator) -> Tasks:
        """Draws n tasks; the same generator state gives the same tasks."""
        self._env.reset(seed=int(rng.integers(2**31)))
        return stack_tasks(self._env.unwrapped.sample_tasks(n))  # type: ignore[attr-defined]

    def validate(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """The environment judges its tasks itself."""
        return dict(task)
