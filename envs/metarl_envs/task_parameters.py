"""What a task parameter can be: a range, multipliers, a few values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isinf
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from metarl_envs.arguments import is_number, real_array, told

Array: TypeAlias = NDArray[np.float64]
Bound: TypeAlias = float | tuple[float, ...]


class Parameter(Protocol):
    """One named number or array of a task, with its distribution."""

    @property
    def default(self) -> Any:
        """The value an environment has before any task is set."""
        ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draws n values; [n, *shape]."""
        ...

    def contains(self, values: Array) -> NDArray[np.bool_]:
        """Which of the values [..., *shape] are allowed; [...]."""
        ...

    def pack(self, values: Array) -> Array:
        """Values [n, *shape] as inputs for a policy that observes the task; [n, packed]."""
        ...

    def unpack(self, packed: Array) -> Array:
        """The inverse of `pack`."""
        ...

    def widened(self, scale: float) -> Parameter | None:
        """The same over a range `scale` times as wide; None if there is nothing beyond it."""
        ...


@dataclass(frozen=True)
class Uniform:
    """A parameter drawn uniformly from the box [low, high].

    Args:
        low, high: bounds, scalars or vectors of one shape, in the parameter's units.
        default: the value an environment has before any task is set.
        widest: the most that `widened` makes of high - low, e.g. a whole circle.

    Raises:
        ValueError: bounds or a default that are not finite numbers of one shape, or not low <= default <=
            high, a range that is not finite, or no number as the widest.
    """

    low: Bound
    high: Bound
    default: Bound
    widest: float = np.inf

    def __post_init__(self) -> None:
        default = real_array("default: expected a finite number, or a vector of them", self.default, _is_flat)
        for name in ("low", "high"):
            expected = f"{name}: expected finite numbers of default's shape {default.shape}"
            real_array(expected, getattr(self, name), lambda given: given.shape == default.shape)
        if not ((self.low <= default) & (default <= self.high)).all():
            found = f"{told(self.low)}, {told(self.default)} and {told(self.high)}"
            raise ValueError(f"expected low <= default <= high, got {found}")
        if not np.isfinite(np.asarray(self.high) - np.asarray(self.low)).all():
            raise ValueError(f"expected a finite range, got {told(self.low)} to {told(self.high)}")
        if not is_number(self.widest) and not (isinstance(self.widest, float) and self.widest == np.inf):
            raise ValueError(f"widest: expected a number, or infinity, got {told(self.widest)}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one value."""
        return np.shape(self.default)

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draws n values; [n, *shape]."""
        return rng.uniform(self.low, self.high, size=(n, *self.shape))

    def contains(self, values: Array) -> NDArray[np.bool_]:
        """Which of the values [..., *shape] are allowed; [...]."""
        inside = (np.asarray(self.low) <= values) & (values <= np.asarray(self.high))
        return np.asarray(inside.all(-1) if self.shape else inside)

    def pack(self, values: Array) -> Array:
        """Values [n, *shape] as inputs for a policy that observes the task; [n, packed]."""
        return values.reshape(len(values), -1).copy()

    def unpack(self, packed: Array) -> Array:
        """The inverse of `pack`."""
        return packed.reshape(-1, *self.shape).copy()

    def widened(self, scale: float) -> Uniform | None:
        """Wider about its centre; a range of positive numbers grows upward only."""
        low, high = np.asarray(self.low, float), np.asarray(self.high, float)
        extra = np.minimum(scale * (high - low), self.widest) - (high - low)
        if not (extra > 0).all():
            return None
        positive = low >= 0
        wide_low = np.where(positive, low, low - extra / 2)
        wide_high = np.where(positive, high + extra, high + extra / 2)
        if self.shape:
            return replace(self, low=tuple(wide_low.tolist()), high=tuple(wide_high.tolist()))
        return replace(self, low=float(wide_low), high=float(wide_high))

    def __str__(self) -> str:
        return f"in [{self.low}, {self.high}]"


@dataclass(frozen=True)
class LogUniform:
    """Multipliers drawn log-uniformly from [1 / limit, limit], independently; 1 by default.

    Args:
        limit: the largest ratio, above 1.
        shape: of the array of multipliers.

    Raises:
        ValueError: a limit that is not above 1 or not finite, or another shape than a tuple of integers.
    """

    limit: float
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if not is_number(self.limit) or self.limit <= 1:
            raise ValueError(f"limit: expected a finite number > 1, got {told(self.limit)}")
        if not isinstance(self.shape, tuple) or not all(
            isinstance(size, int) and size > 0 and not isinstance(size, bool) for size in self.shape
        ):
            raise ValueError(f"shape: expected a tuple of integers > 0, got {told(self.shape)}")

    @property
    def default(self) -> Array:
        """The value an environment has before any task is set."""
        return np.ones(self.shape)

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draws n values; [n, *shape]."""
        exponents = rng.uniform(-1.0, 1.0, size=(n, *self.shape))
        return np.asarray(self.limit**exponents)

    def contains(self, values: Array) -> NDArray[np.bool_]:
        """Which of the values [..., *shape] are allowed; [...]."""
        inside = (1 / self.limit <= values) & (values <= self.limit)
        return np.asarray(inside.reshape(*values.shape[: values.ndim - len(self.shape)], -1).all(-1))

    def pack(self, values: Array) -> Array:
        """Logarithms."""
        return np.log(values).reshape(len(values), -1)

    def unpack(self, packed: Array) -> Array:
        """The inverse of `pack`."""
        return np.exp(packed).reshape(-1, *self.shape)

    def widened(self, scale: float) -> LogUniform:
        """The same over a range `scale` times as wide; None if there is nothing beyond it."""
        with np.errstate(over="ignore"):
            limit = float(np.float64(self.limit) ** scale)
        if isinf(limit):
            raise ValueError(f"expected a scale that leaves multipliers finite, got {scale}")
        return replace(self, limit=limit)

    def __str__(self) -> str:
        return f"in [{1 / self.limit:.4g}, {self.limit:.4g}]"


@dataclass(frozen=True)
class Choice:
    """A scalar parameter drawn uniformly from a few values.

    Args:
        values: in the parameter's units.
        default: the value an environment has before any task is set.

    Raises:
        ValueError: no list of finite numbers, or a default that is none of them.
    """

    values: tuple[float, ...]
    default: float

    def __post_init__(self) -> None:
        numbers = isinstance(self.values, tuple | list | np.ndarray) and all(map(is_number, self.values))
        if not numbers or not len(self.values):
            raise ValueError(f"values: expected a list of finite numbers, got {told(self.values)}")
        if not is_number(self.default) or self.default not in self.values:
            raise ValueError(f"default: expected one of {told(self.values)}, got {told(self.default)}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one value."""
        return ()

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draws n values; [n, *shape]."""
        return rng.choice(np.asarray(self.values, dtype=np.float64), size=n)

    def contains(self, values: Array) -> NDArray[np.bool_]:
        """Which of the values [..., *shape] are allowed; [...]."""
        return np.asarray(np.isin(values, self.values))

    def pack(self, values: Array) -> Array:
        """Values [n, *shape] as inputs for a policy that observes the task; [n, packed]."""
        return values[:, None].copy()

    def unpack(self, packed: Array) -> Array:
        """The inverse of `pack`."""
        return packed[:, 0].copy()

    def widened(self, scale: float) -> None:
        """None: there is nothing beyond it."""

    def __str__(self) -> str:
        return f"one of {self.values}"


@dataclass(frozen=True)
class Beyond:
    """Drawn from a widened range outside the inner one; values of both ranges are allowed."""

    inner: Parameter
    outer: Parameter

    @property
    def default(self) -> Any:
        """The value an environment has before any task is set."""
        return self.inner.default

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one value."""
        return self.inner.shape

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draws n values; [n, *shape]."""
        drawn = np.empty((0, *self.shape))
        while len(drawn) < n:
            values = self.outer.sample(n, rng)
            drawn = np.concatenate((drawn, values[~self.inner.contains(values)]))
        return drawn[:n]

    def contains(self, values: Array) -> NDArray[np.bool_]:
        """Which of the values [..., *shape] are allowed; [...]."""
        return self.outer.contains(values)

    def pack(self, values: Array) -> Array:
        """Values [n, *shape] as inputs for a policy that observes the task; [n, packed]."""
        return self.inner.pack(values)

    def unpack(self, packed: Array) -> Array:
        """The inverse of `pack`."""
        return self.inner.unpack(packed)

    def widened(self, scale: float) -> Beyond | None:
        """The same over a range `scale` times as wide; None if there is nothing beyond it."""
        wider = self.outer.widened(scale)
        return None if wider is None else replace(self, outer=wider)

    def __str__(self) -> str:
        return str(self.outer)


def _is_flat(array: NDArray[Any]) -> bool:
    return array.ndim == 0 or (array.ndim == 1 and array.size > 0)
