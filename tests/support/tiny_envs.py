"""Environments for tests of sampling and training: quick, and wrong on purpose where a test asks for it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any
from uuid import uuid4

import gymnasium
import numpy as np
from gymnasium.spaces import Box


class Drift(gymnasium.Env[Any, Any]):
    """A point on a line, rewarded for moving along `velocity`; a foreign environment with a task hook.

    Args:
        fault: "reward", "observation" or "" - what turns NaN after three steps.
    """

    def __init__(self, fault: str = "") -> None:
        self.observation_space = Box(-np.inf, np.inf, (1,), np.float64)
        self.action_space = Box(-1.0, 1.0, (1,), np.float32)
        self._fault = fault
        self._velocity = 0.0
        self._position, self._elapsed = 0.0, 0

    def sample_tasks(self, n: int) -> list[dict[str, float]]:
        return [{"velocity": float(v)} for v in self.np_random.uniform(-1, 1, n)]

    def set_task(self, task: dict[str, float]) -> None:
        self._velocity = float(task["velocity"])

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self._position, self._elapsed = self.np_random.normal(), 0
        return np.array([self._position]), {}

    def step(self, action: Any) -> Any:
        self._elapsed += 1
        self._position += float(action[0])
        reward = -abs(float(action[0]) - self._velocity)
        faulty = self._elapsed == 3
        if faulty and self._fault == "reward":
            reward = float("nan")
        observation = np.array([np.nan if faulty and self._fault == "observation" else self._position])
        return observation, reward, abs(self._position) > 3, False, {}


class Mortal(Drift):
    """Kills its process in the third step of its third episode, or raises there, while a file says so.

    Args:
        file: its path; it contains "kill" or "raise".
        diary: path of a file that gets a line when it is made and one when it is closed, each with its name.
    """

    def __init__(self, file: str, diary: str = "") -> None:
        super().__init__()
        self._file, self._diary, self._name = Path(file), diary, uuid4()
        self._episodes = 0
        self._write("opened")

    def close(self) -> None:
        self._write("closed")

    def _write(self, word: str) -> None:
        if self._diary:
            with Path(self._diary).open("a") as file:
                file.write(f"{word} {self._name}\n")

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self._episodes += 1
        return super().reset(seed=seed, options=options)

    def step(self, action: Any) -> Any:
        if self._episodes == 3 and self._elapsed == 2 and self._file.exists():
            if self._file.read_text() == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise OverflowError("the belt is full")
        return super().step(action)


class Echo(gymnasium.Env[Any, Any]):
    """Shows its task and the last action it was given, and rewards by both; some episodes end early.

    Observation [goal, start, first action], the start uniform in [0, 1) and 0 for the action at first;
    reward goal (1 + first action - second action / 2); terminates after 3 steps where start > 0.6.
    """

    def __init__(self) -> None:
        self.observation_space = Box(-np.inf, np.inf, (3,), np.float64)
        self.action_space = Box(-1e3, 1e3, (2,), np.float64)
        self._goal, self._start, self._elapsed = 0.0, 0.0, 0

    def sample_tasks(self, n: int) -> list[dict[str, float]]:
        return [{"goal": float(v)} for v in self.np_random.normal(size=n)]

    def set_task(self, task: dict[str, float]) -> None:
        self._goal = float(task["goal"])

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self._start, self._elapsed = self.np_random.uniform(), 0
        return np.array([self._goal, self._start, 0.0]), {}

    def step(self, action: Any) -> Any:
        if self._start > 0.6 and self._elapsed == 3:
            raise RuntimeError("stepped after its end")
        self._elapsed += 1
        first, second = (float(part) for part in action)
        observation = np.array([self._goal, self._start, first])
        over = self._start > 0.6 and self._elapsed == 3
        return observation, self._goal * (1 + first - second / 2), over, False, {}


class Worded(Drift):
    """Samples tasks that are words."""

    def sample_tasks(self, n: int) -> list[dict[str, Any]]:
        return [{"velocity": "fast"}] * n


class Pictured(Drift):
    """Draws red squares of 50 pixels, whatever size is wanted."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__()
        self.render_mode = render_mode

    def render(self) -> Any:
        return np.full((50, 50, 3), (255, 0, 0), np.uint8)


gymnasium.register("tests/Pictured-v0", entry_point=Pictured)
gymnasium.register("tests/Worded-v0", entry_point=Worded)
gymnasium.register("tests/Drift-v0", entry_point=Drift)
gymnasium.register("tests/Mortal-v0", entry_point=Mortal)
gymnasium.register("tests/Echo-v0", entry_point=Echo)
