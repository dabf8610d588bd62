"""Task spaces: named, bounded task parameters, sampled and validated as plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Task: TypeAlias = dict[str, Any]
"""One task: name -> float or array."""
Tasks: TypeAlias = dict[str, Array]
"""A batch of tasks: name -> array with a leading task axis."""
Bound: TypeAlias = float | tuple[float, ...]


@dataclass(frozen=True)
class Uniform:
    """A parameter drawn uniformly from the box [low, high].

    Args:
        low, high: bounds, scalars or vectors of one shape, in the parameter's units.
        default: the value an environment has before any task is set.
    """

    low: Bound
    high: Bound
    default: Bound

    @property
    def shape(self) -> tuple[int, ...]:
        return np.shape(self.default)

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        return rng.uniform(self.low, self.high, size=(n, *self.shape))

    def contains(self, values: Array) -> NDArray[np.bool_]:
        """Which of the values [..., *shape] are inside; [...]."""
        inside = (np.asarray(self.low) <= values) & (values <= np.asarray(self.high))
        return np.asarray(inside.all(-1) if self.shape else inside)

    def __str__(self) -> str:
        return f"in [{self.low}, {self.high}]"


@dataclass(frozen=True)
class Choice:
    """A scalar parameter drawn uniformly from a few values."""

    values: tuple[float, ...]
    default: float

    @property
    def shape(self) -> tuple[int, ...]:
        return ()

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        return rng.choice(np.asarray(self.values, dtype=np.float64), size=n)

    def contains(self, values: Array) -> NDArray[np.bool_]:
        """Which of the values [...] are among the choices; [...]."""
        return np.asarray(np.isin(values, self.values))

    def __str__(self) -> str:
        return f"one of {self.values}"


@dataclass(frozen=True)
class TaskSpace:
    """The distribution over a family's tasks: one `Uniform` or `Choice` a parameter."""

    parameters: Mapping[str, Uniform | Choice]

    def sample(self, n: int, rng: np.random.Generator) -> Tasks:
        """Draws n tasks; every array has a leading axis of n.

        Raises:
            ValueError: n is not positive.
        """
        if n < 1:
            raise ValueError(f"expected at least one task to sample, got n={n}")
        return {name: parameter.sample(n, rng) for name, parameter in self.parameters.items()}

    @property
    def default(self) -> Task:
        """The task an environment has before any is set."""
        return self.validate({name: p.default for name, p in self.parameters.items()})

    def validate(self, task: Mapping[str, Any]) -> Task:
        """Returns a float64 copy of the task.

        Raises:
            ValueError: a parameter is missing, unknown, of another shape or outside its bounds.
        """
        valid = self._validate(task, ())
        return {name: value if value.ndim else float(value) for name, value in valid.items()}

    def validate_batch(self, tasks: Mapping[str, Any], n: int) -> Tasks:
        """Returns a float64 copy of n tasks, [n, ...] each.

        Raises:
            ValueError: as `validate`, or another number of tasks than n.
        """
        return self._validate(tasks, (n,))

    def _validate(self, values: Mapping[str, Any], leading: tuple[int, ...]) -> Tasks:
        if set(values) != set(self.parameters):
            raise ValueError(f"expected a task with keys {sorted(self.parameters)}, got {sorted(values)}")
        valid: Tasks = {}
        for name, parameter in self.parameters.items():
            try:
                value = np.array(values[name], dtype=np.float64)
            except (TypeError, ValueError):
                raise ValueError(f"task {name!r}: expected numbers, got {values[name]!r}") from None
            shape = (*leading, *parameter.shape)
            if value.shape != shape:
                raise ValueError(f"task {name!r}: expected shape {shape}, got {value.shape}")
            outside = ~parameter.contains(value)
            if outside.any():
                raise ValueError(
                    f"task {name!r}: expected a value {parameter}, got {value[outside][0].tolist()}; "
                    "the task space is set by the environment's preset and options"
                )
            valid[name] = value
        return valid


def stack_tasks(tasks: Sequence[Mapping[str, Any]]) -> Tasks:
    """Joins single tasks into a batch with a leading task axis."""
    return {name: np.stack([np.asarray(task[name], dtype=np.float64) for task in tasks]) for name in tasks[0]}


def unstack_tasks(tasks: Mapping[str, Array]) -> Iterator[Task]:
    """Yields the single tasks of a batch, as copies."""
    for i in range(number_of_tasks(tasks)):
        yield {name: v[i].copy() if v.ndim > 1 else float(v[i]) for name, v in tasks.items()}


def repeat_tasks(tasks: Mapping[str, Array], episodes: int) -> Tasks:
    """Repeats every task for its episodes: [task, ...] -> [task * episode, ...]."""
    return {name: np.repeat(values, episodes, axis=0) for name, values in tasks.items()}


def number_of_tasks(tasks: Mapping[str, Array]) -> int:
    return len(next(iter(tasks.values())))
