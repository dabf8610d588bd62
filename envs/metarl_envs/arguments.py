"""Checks of what public functions are given, before anything is made of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

REAL = "biuf"
"""Kinds of NumPy types that hold real numbers."""
_LARGEST = 2**31 - 1
_LARGEST_SEED = 2**128 - 1


def told(value: Any) -> str:
    """The value in one short line."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # whatever an object of others raises
        text = f"a {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}..."


def as_array(value: Any) -> NDArray[Any]:
    """The value as an array, of type object where its parts have different lengths."""
    try:
        return np.asarray(value)
    except ValueError:
        return np.empty((), dtype=np.object_)


def check_kind(kind: type | tuple[type, ...], expected: str, **values: Any) -> None:
    """Checks types by name.

    Raises:
        TypeError: one has another.
    """
    for name, value in values.items():
        if not isinstance(value, kind):
            raise TypeError(f"{name}: expected {expected}, got {told(value)}")


def check_callable(**values: Any) -> None:
    """Checks functions by name.

    Raises:
        TypeError: one is none.
    """
    for name, value in values.items():
        if not callable(value):
            raise TypeError(f"{name}: expected a function, got {told(value)}")


def check_at_least(least: int, most: int = _LARGEST, **values: Any) -> None:
    """Checks integers by name.

    Raises:
        ValueError: one is smaller or larger, or no integer.
    """
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise ValueError(f"expected {name} to be an integer, got {told(value)}")
        if value < least:
            raise ValueError(f"expected {name} >= {least}, got {value}")
        if value > most:
            raise ValueError(f"expected {name} <= {most}, got {told(value)}")


def check_seed(seed: Any) -> None:
    """Checks one seed.

    Raises:
        ValueError: neither None nor an integer from 0 to 2^128 - 1.
    """
    whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
    if seed is not None and not (whole and 0 <= seed <= _LARGEST_SEED):
        raise ValueError(f"expected a seed from 0 to 2^128 - 1, or None, got {told(seed)}")


def check_generator(rng: Any) -> None:
    """Checks a random generator.

    Raises:
        TypeError: none of NumPy's.
    """
    check_kind(np.random.Generator, "a numpy.random.Generator", rng=rng)


def is_number(value: Any) -> bool:
    """Whether it is a finite real number of Python's or NumPy's, and no truth value."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond any float
        return False


def real_array(expected: str, value: Any, fits: Callable[[NDArray[Any]], bool]) -> NDArray[np.float64]:
    """Finite real numbers as a float64 array.

    Args:
        expected: the message, up to what was got.
        fits: what else must hold of the array, such as its shape.

    Raises:
        ValueError: text, truth values, complex numbers, parts of different lengths, numbers that are not
            finite, or an array that does not fit.
    """
    array = as_array(value)
    if array.dtype.kind not in "iuf" or not np.isfinite(array).all() or not fits(array):
        raise ValueError(f"{expected}, got {told(value)}")
    return array.astype(np.float64)
