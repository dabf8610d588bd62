"""Schedules of outer learning rates: from one value to another along a line or half a cosine."""

from __future__ import annotations

import math
from typing import Literal

Shape = Literal["constant", "linear", "cosine"]
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


def scheduled(shape: Shape, start: float, end: float, length: int, updates: int) -> float:
    """The value after so many updates of a schedule of a given length, which then stays at its end."""
    if shape == "constant":
        return start
    share = min(updates / length, 1.0)
    left = 1 - share if shape == "linear" else (1 + math.cos(math.pi * share)) / 2
    return end + (start - end) * left
