"""Schedules of outer learning rates: from one value to another along a line or half a cosine."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from jsonargparse.typing import NonNegativeFloat, NonNegativeInt, PositiveFloat

Shape = Literal["constant", "linear", "cosine"]
_LARGEST_RATE = 1e37
SCHEDULED = {"schedule": ("linear", "cosine")}
"""The schedules with which its updates and its end are read."""


def check_schedule(shape: Shape, length: int, key: str) -> None:
    """Refuses a schedule without updates, and updates without a schedule.

    Args:
        length: updates that it takes; 0 for a constant value alone.
        key: of the length in the config.

    Raises:
        ValueError: either.
    """
    if (shape == "constant") != (length == 0):
        raise ValueError(
            f"{key}: expected an integer > 0 with a schedule, 0 with a constant rate, "
            f"got {length} and {shape!r}"
        )


def check_learning_rate(key: str, rate: float) -> None:
    """Refuses what overflows in Adam's first step, where torch divides the rate by 0.1.

    Raises:
        ValueError: it does.
    """
    if rate > _LARGEST_RATE:
        raise ValueError(f"{key}: expected at most {_LARGEST_RATE:g}, got {rate:g}")


def scheduled(shape: Shape, start: float, end: float, length: int, updates: int) -> float:
    """The value after so many updates of a schedule of a given length, which then stays at its end."""
    if shape == "constant":
        return start
    share = min(updates / length, 1.0)
    left = 1 - share if shape == "linear" else (1 + math.cos(math.pi * share)) / 2
    return end + (start - end) * left


@dataclass(frozen=True)
class ScheduledRate:
    """Settings of an outer learning rate that may follow a schedule.

    Args:
        learning_rate: the size of Adam's steps.
        schedule: course of the learning rate over `schedule_updates` updates: "constant", or from
            `learning_rate` to `final_learning_rate` along a line ("linear") or half a cosine ("cosine").
        schedule_updates: updates after which the rate stays what it is; 0 for a constant one alone.
        final_learning_rate: the rate at the schedule's end.

    Raises:
        ValueError: a schedule without updates, updates without a schedule, or a learning rate that Adam
            cannot take.
    """

    learning_rate: PositiveFloat = 1e-3
    schedule: Shape = "constant"
    schedule_updates: NonNegativeInt = 0
    final_learning_rate: NonNegativeFloat = 1e-5

    section: ClassVar[str] = "meta_learner"
    read_with: ClassVar[dict[str, Any]] = dict.fromkeys(
        ("schedule_updates", "final_learning_rate"), SCHEDULED
    )

    def __post_init__(self) -> None:
        check_learning_rate(f"{self.section}.learning_rate", float(self.learning_rate))
        check_schedule(self.schedule, int(self.schedule_updates), f"{self.section}.schedule_updates")

    def rate(self, updates: int) -> float:
        """The learning rate after so many updates."""
        return self.between(float(self.learning_rate), float(self.final_learning_rate), updates)

    def between(self, start: float, end: float, updates: int) -> float:
        """What goes from one value to another by the same schedule, after so many updates."""
        return scheduled(self.schedule, start, end, int(self.schedule_updates), updates)
