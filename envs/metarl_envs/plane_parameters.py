"""Task parameters on the plane: a heading, a place in a disc."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from metarl_envs.arguments import is_number, real_array, told
from metarl_envs.task_parameters import Array


@dataclass(frozen=True)
class Heading:
    """An angle drawn uniformly from the whole circle [0, 2 pi), in rad.

    Args:
        default: the angle an environment has before any task is set.

    Raises:
        ValueError: a default outside [-2 pi, 2 pi].
    """

    default: float = 0.0

    def __post_init__(self) -> None:
        if not is_number(self.default) or abs(self.default) > 2 * np.pi:
            raise ValueError(f"default: expected an angle in [-2 pi, 2 pi], got {told(self.default)}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one value."""
        return ()

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draws n values; [n, *shape]."""
        return rng.uniform(0.0, 2 * np.pi, size=n)

    def contains(self, values: Array) -> NDArray[np.bool_]:
        """Which of the values [..., *shape] are allowed; [...]."""
        return np.asarray(np.abs(values) <= 2 * np.pi)

    def pack(self, values: Array) -> Array:
        """Cosine and sine."""
        return np.stack((np.cos(values), np.sin(values)), axis=-1)

    def unpack(self, packed: Array) -> Array:
        """The inverse of `pack`."""
        return np.asarray(np.arctan2(packed[:, 1], packed[:, 0]) % (2 * np.pi))

    def widened(self, scale: float) -> None:
        """None: there is nothing beyond it."""

    def __str__(self) -> str:
        return "in [-2 pi, 2 pi]"


@dataclass(frozen=True)
class Disc:
    """A place [x, y] drawn uniformly from a disc around the origin.

    Args:
        radius: of the disc, in the parameter's units.
        default: the place an environment has before any task is set.

    Raises:
        ValueError: a radius that is not positive and finite, or a default that is no place [x, y].
    """

    radius: float
    default: tuple[float, float]

    def __post_init__(self) -> None:
        if not is_number(self.radius) or self.radius <= 0:
            raise ValueError(f"radius: expected a finite number > 0, got {told(self.radius)}")
        real_array("default: expected two finite numbers", self.default, lambda given: given.shape == (2,))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one value."""
        return (2,)

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draws n values; [n, *shape]."""
        angle = rng.uniform(0.0, 2 * np.pi, size=n)
        distance = self.radius * np.sqrt(rng.uniform(size=n))
        return np.stack((distance * np.cos(angle), distance * np.sin(angle)), axis=-1)

    def contains(self, values: Array) -> NDArray[np.bool_]:
        """Which of the values [..., *shape] are allowed; [...]."""
        return np.asarray(np.hypot(values[..., 0], values[..., 1]) <= self.radius * (1 + 1e-12))

    def pack(self, values: Array) -> Array:
        """Values [n, *shape] as inputs for a policy that observes the task; [n, packed]."""
        return values.copy()

    def unpack(self, packed: Array) -> Array:
        """The inverse of `pack`."""
        return packed.copy()

    def widened(self, scale: float) -> Disc:
        """The same over a range `scale` times as wide; None if there is nothing beyond it."""
        return replace(self, radius=self.radius * scale)

    def __str__(self) -> str:
        return f"at most {self.radius} from the origin"
