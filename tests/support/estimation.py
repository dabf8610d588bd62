"""A number is to be guessed from noisy looks at it: a task whose best return is known."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box

STEPS = 5
BEST = -sum(1 / (1 + t) for t in range(1, 2 * STEPS + 1))
"""Expected return of two episodes: the posterior mean after t looks misses by 1 / (1 + t) in the square."""
FORGETFUL = -2 * sum(1 / (1 + t) for t in range(1, STEPS + 1))
"""Of the best that begins each episode anew."""


class Estimation(gymnasium.Env[Any, Any]):
    """o_t = theta + N(0, 1), reward -(a - theta)^2; theta ~ N(0, 1) is the task."""

    def __init__(self) -> None:
        self.observation_space = Box(-np.inf, np.inf, (1,), np.float64)
        self.action_space = Box(-10.0, 10.0, (1,), np.float32)
        self._theta, self._elapsed = 0.0, 0

    def sample_tasks(self, n: int) -> list[dict[str, float]]:
        return [{"theta": float(value)} for value in self.np_random.normal(size=n)]

    def set_task(self, task: dict[str, float]) -> None:
        self._theta = float(task["theta"])

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self._elapsed = 0
        return self._look(), {}

    def step(self, action: Any) -> Any:
        self._elapsed += 1
        return self._look(), -((float(action[0]) - self._theta) ** 2), False, self._elapsed == STEPS, {}

    def _look(self) -> Any:
        return self._theta + self.np_random.normal(size=1)


gymnasium.register("tests/Estimation-v0", Estimation, max_episode_steps=STEPS)
