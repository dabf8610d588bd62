"""A number is to be guessed from noisy looks at it: a task whose best return is known."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box
from metarl_envs.tasks import Tasks
from numpy.typing import NDArray
from torch.special import erfinv

from tests.support.games import Game, Setting

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


class Looks(Game):
    """The same for many environments at once."""

    observation_size, action_size = 1, 1

    @staticmethod
    def draw(n: int, rng: np.random.Generator) -> Tasks:
        return {"theta": rng.normal(size=n)}

    def chosen(self, actions: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(actions[:, 0])

    def begin(self) -> NDArray[Any]:
        # Normal, of uniform numbers; after the last step, on which nothing acts, the first look again.
        self.looks = np.sqrt(2) * erfinv(2 * torch.as_tensor(self.noise) - 1).numpy()
        return self.look(0)

    def play(self, moves: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        return self.look(self.elapsed + 1), -np.square(moves - self.tasks["theta"])

    def look(self, number: int) -> NDArray[Any]:
        return np.asarray(self.tasks["theta"] + self.looks[:, number % self.horizon])[:, None]


LOOKS = Setting(Looks, Looks.draw, episodes=2, horizon=STEPS, tasks=64)
