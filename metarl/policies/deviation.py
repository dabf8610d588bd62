"""The standard deviation of a Gaussian policy's actions, and its floor."""

from __future__ import annotations


def check_floor(min_std: float, initial_std: float) -> None:
    """Refuses a floor above the standard deviation at the start.

    Raises:
        ValueError: it is.
    """
    if min_std > initial_std:
        raise ValueError(f"min_std: expected at most {initial_std}, the initial_std, got {min_std}")
