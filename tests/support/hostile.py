"""An environment of others that does anything that one could do wrong, where it is told to."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from tests.support.tiny_envs import Drift


class SpeechlessError(Exception):
    """An exception whose text raises."""

    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


class Final(BaseException):
    """What `except Exception` does not catch."""


RAISED: dict[str, Any] = {
    **{kind.__name__: kind("it\nbroke") for kind in (ValueError, TypeError, KeyError, OSError, RuntimeError)},
    **{
        kind.__name__: kind()
        for kind in (AssertionError, StopIteration, MemoryError, RecursionError, SpeechlessError)
    },
    **{kind.__name__: kind(3) for kind in (SystemExit, GeneratorExit, Final, AttributeError, EOFError)},
    "BrokenPipeError": BrokenPipeError(32, "pipe"),
    "gymnasium": gymnasium.error.Error("no such thing"),
    "UnicodeDecodeError": UnicodeDecodeError("utf-8", b"a", 0, 1, "broken"),
}
RETURNED: dict[str, Any] = {
    **{
        f"{value!r}": value
        for value in (None, 3, "text", [], [{}], [1], [None], {}, [{"velocity": None}], object)
    },
    "mixed": [{"velocity": 1.0}, {"speed": 1.0}, {"velocity": 1.0}],
    "ragged": [{"velocity": [1.0]}, {"velocity": [1.0, 2.0]}, {"velocity": [1.0]}],
    **{
        f"velocity {value!r}": [{"velocity": value}] * 3
        for value in ("fast", 1j, np.nan, np.inf, 10**30, [[1], [2, 3]])
    },
    **{f"{count} tasks": [{"velocity": 1.0}] * count for count in (1, 2, 4)},
    "keys": [{1: 1.0}] * 3,
    "generator": ({"velocity": 1.0} for _ in range(3)),
    "speechless": [SpeechlessError()] * 3,
}
PLACES = ("init", "spaces", "sample_tasks", "set_task", "reset", "step", "close")


class Hostile(Drift):
    """Raises or returns what it is told, at the place it is told.

    Args:
        place: one of `PLACES`.
        what: a key of `RAISED` or, of `sample_tasks`, of `RETURNED`.
    """

    def __init__(self, place: str, what: str) -> None:
        self._place, self._what = place, what
        self._at("init")
        super().__init__()

    def _at(self, place: str) -> None:
        if place == self._place and self._what in RAISED:
            raise RAISED[self._what]

    @property
    def action_space(self) -> Any:
        self._at("spaces")
        return self._actions

    @action_space.setter
    def action_space(self, space: Any) -> None:
        self._actions = space

    def sample_tasks(self, n: int) -> Any:
        self._at("sample_tasks")
        told = self._place == "sample_tasks"
        return RETURNED[self._what] if told else super().sample_tasks(n)

    def set_task(self, task: Any) -> None:
        self._at("set_task")
        super().set_task(task)

    def reset(self, **given: Any) -> Any:
        self._at("reset")
        return super().reset(**given)

    def step(self, action: Any) -> Any:
        self._at("step")
        return super().step(action)

    def close(self) -> None:
        self._at("close")


gymnasium.register("tests/Hostile-v0", entry_point=Hostile)
