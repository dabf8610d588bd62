"""What an environment's `reset` and `step` return, checked before it is used as numbers.

NumPy would stretch an observation of another shape, drop imaginary parts and read numbers out of strings.
"""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from numpy.typing import NDArray

from metarl_envs.arguments import REAL, as_array, told


class OutcomeError(ValueError):
    """An environment returned an invalid observation, reward or end of an episode."""


class Outcome(NamedTuple):
    """The outcome of one environment's step; the observation has the shape of its space."""

    observation: NDArray[Any]
    reward: float
    terminated: bool
    truncated: bool


def checked_reset(returned: Any, space: gymnasium.Space[Any], place: str) -> NDArray[Any]:
    """The observation that `reset` returned, which may not be finite.

    Args:
        space: of observations.
        place: names the episode in errors.

    Raises:
        OutcomeError: not a pair of an observation (real numbers, of the space's shape) and an info.
    """
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise OutcomeError(f"expected reset to return (observation, info), got {told(returned)} in {place}")
    return _checked_observation(returned[0], space, place)


def checked_step(returned: Any, space: gymnasium.Space[Any], place: str) -> Outcome:
    """What `step` returned; observation and reward may not be finite.

    Args:
        space: of observations.
        place: names the episode and the step in errors.

    Raises:
        OutcomeError: not five values, an observation of another shape than the space's, something that is
            not a real number, or an end that is not a boolean.
    """
    if not isinstance(returned, tuple) or len(returned) != 5:
        expected = "(observation, reward, terminated, truncated, info)"
        raise OutcomeError(f"expected step to return {expected}, got {told(returned)} in {place}")
    observation, reward, terminated, truncated, _ = returned
    number = as_array(reward)
    if number.shape or number.dtype.kind not in REAL:
        raise OutcomeError(f"expected a reward that is one real number, got {told(reward)} in {place}")
    for name, end in (("terminated", terminated), ("truncated", truncated)):
        if as_array(end).shape or as_array(end).dtype.kind != "b":
            raise OutcomeError(f"expected {name} to be a boolean, got {told(end)} in {place}")
    checked = _checked_observation(observation, space, place)
    return Outcome(checked, float(number), bool(terminated), bool(truncated))


def told_success(info: Any) -> float:
    """Success as a step's info tells it, by Meta-World's or stable-baselines3's key; NaN of others."""
    keys = [key for key in ("success", "is_success") if isinstance(info, dict) and key in info]
    number = as_array(info[keys[0]]) if keys else as_array(np.nan)
    return float(number) if not number.shape and number.dtype.kind in REAL else np.nan


def _checked_observation(observation: Any, space: gymnasium.Space[Any], place: str) -> NDArray[Any]:
    values, shape = as_array(observation), space.shape or ()
    if values.dtype.kind not in REAL:
        raise OutcomeError(f"expected an observation of real numbers, got {told(observation)} in {place}")
    if values.shape != shape:
        raise OutcomeError(
            f"expected an observation of shape {list(shape)}, that of the observation space, "
            f"got {list(values.shape)} in {place}"
        )
    if values.dtype.kind == "f" and np.dtype(space.dtype).kind != "f":
        raise OutcomeError(
            f"expected an observation of {space.dtype}, the observation space's type, got {values.dtype} "
            f"in {place}"
        )
    return values


def told_exception(error: BaseException) -> str:
    """Class, message and place of what an environment raised, in one line."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    try:
        message = str(error)
    except Exception:  # whatever an exception of others raises
        message = "its text raises another"
    text = f"{type(error).__name__}: {message} ({Path(frame.filename).name}, line {frame.lineno})"
    return " ".join(text.split())
