"""What any other gymnasium environment needs to be adapted to: a way to take tasks, and to sample them.

A task reaches the environment through the first of these that it has: `set_task(task)`,
`reset_task(task)`, `reset(options={"task": task})`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np

from metarl_envs.tasks import Tasks, stack_tasks

AnyEnv = gymnasium.Env[Any, Any]


def apply_task(env: AnyEnv, task: Mapping[str, Any]) -> dict[str, Any]:
    """Gives the environment its task; returns the options its next `reset` needs."""
    for hook in ("set_task", "reset_task"):
        method = getattr(env.unwrapped, hook, None)
        if method is not None:
            method(dict(task))
            return {}
    return {"task": dict(task)}


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
        return self._drawn("sample_tasks", n, rng)

    def sample_held_out(self, n: int, rng: np.random.Generator) -> Tasks:
        """Draws n test tasks of an environment with `sample_held_out_tasks(n)`; of another, as `sample`."""
        held_out = hasattr(self._env.unwrapped, "sample_held_out_tasks")
        return self._drawn("sample_held_out_tasks" if held_out else "sample_tasks", n, rng)

    def validate(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """The environment judges its tasks itself."""
        return dict(task)

    def _drawn(self, method: str, n: int, rng: np.random.Generator) -> Tasks:
        self._env.reset(seed=int(rng.integers(2**31)))
        return stack_tasks(getattr(self._env.unwrapped, method)(n))
