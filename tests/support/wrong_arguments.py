"""Values that few functions take, and a check that each is taken, or told in a line of the package's own."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import metarl_envs
import numpy as np

import metarl

HOUSES = tuple(str(Path(house.__file__).parent) for house in (metarl, metarl_envs))


class Speechless:
    """What has no text."""

    def __repr__(self) -> str:
        raise KeyError


class Wrong:
    """The values, by their names."""

    none, true, half, minus, zero, large, digits = None, True, 0.5, -1, 0, 2**70, 10**400
    huge, nan, inf, empty, text, data = 1e300, math.nan, math.inf, "", "text", b"b"
    nothing, pair, ragged, mapping, numbered, goal = [], [1, 2], [[1], [1, 2]], {}, {1: 2}, {"goal": 1}
    group, thing, function, imaginary = {1}, Speechless(), len, 1j
    vector, square = np.zeros(3), np.zeros((2, 2))
    words, objects, single = np.array(["a"]), np.array([None]), np.float32(0.5)


NAMES = [name for name in vars(Wrong) if not name.startswith("_")]
TOLD = (TypeError, ValueError, AttributeError, metarl.MetaRLError, gymnasium.error.Error)


def check_told(call: Callable[[Any], Any], taken: str) -> None:
    """Gives a function every value.

    Args:
        taken: the names of those that it takes.

    Raises:
        AssertionError: it takes another, or refuses one of them, or does not tell it in a line of its own.
    """
    for name in NAMES:
        try:
            call(getattr(Wrong, name))
        except TOLD as error:
            line, place = str(error), traceback.extract_tb(error.__traceback__)[-1]
            assert name not in taken.split(), f"{name}: {line}"
            assert line.isprintable(), f"{name}: {line!r}"
            assert len(line) < 2000, name
            if not isinstance(error, gymnasium.error.Error):
                assert place.filename.startswith(HOUSES), f"{name}: {line} ({place.filename})"
                assert "expected " in line, f"{name}: {line}"
        else:
            assert name in taken.split(), f"{name} is taken"
