"""Task spaces: named, bounded task parameters, sampled and validated as plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from metarl_envs.arguments import REAL, as_array, check_at_least, check_generator, real_array, told
from metarl_envs.task_parameters import Array, Beyond, Choice, Parameter

Task: TypeAlias = dict[str, Any]
"""One task: name -> float or array."""
Tasks: TypeAlias = dict[str, Array]
"""A batch of tasks: name -> array with a leading task axis."""
_MOST_REPEATS = 1000
_LEAST_SCALE = 1.01  # below it, drawing what lies beyond takes too many draws
_MOST_SCALE = 1e6


@dataclass(frozen=True)
class TaskSpace:
    """The distribution over a family's tasks: named parameters, drawn independently.

    Raises:
        TypeError: no mapping of names to parameters, such as `Uniform`.
    """

    parameters: Mapping[str, Parameter]

    def __post_init__(self) -> None:
        given = self.parameters
        named = isinstance(given, Mapping) and given and all(isinstance(name, str) for name in given)
        if not named or not all(_is_parameter(one) for one in given.values()):
            raise TypeError(
                f"parameters: expected names of task parameters, such as Uniform, got {told(self.parameters)}"
            )

    def sample(self, n: int, rng: np.random.Generator) -> Tasks:
        """Draws n tasks; every array has a leading axis of n.

        Raises:
            TypeError: no generator of NumPy's.
            ValueError: n is no integer > 0.
        """
        _check_count(n)
        check_generator(rng)
        return {name: parameter.sample(n, rng) for name, parameter in self.parameters.items()}

    def sample_held_out(self, n: int, rng: np.random.Generator) -> Tasks:
        """n tasks to measure on: drawn, or, where there are finitely many, each of them equally often.

        Raises:
            TypeError, ValueError: as `sample`.
        """
        _check_count(n)
        check_generator(rng)
        choices = self._choices()
        if choices is None:
            return self.sample(n, rng)
        existing = list(product(*choices.values()))
        columns = np.array(existing)[np.resize(rng.permutation(len(existing)), n)].T
        return {name: column.copy() for name, column in zip(choices, columns, strict=True)}

    def split(self, train: int, held_out: int, seed: int) -> tuple[Tasks, Tasks]:
        """Fixed lists of training and held-out tasks: all different, the same for the same seed.

        A longer training list begins with the shorter one.

        Raises:
            ValueError: a count that is no integer > 0, a seed that is none >= 0, or fewer different tasks
                than asked for.
        """
        check_at_least(1, train=train, held_out=held_out)
        check_at_least(0, seed=seed)
        if self.size is not None and self.size < train + held_out:
            raise ValueError(f"expected at most {self.size} different tasks, got {train} + {held_out}")
        taken: set[bytes] = set()
        return self._distinct(train, [seed, 1], taken), self._distinct(held_out, [seed, 2], taken)

    def _choices(self) -> dict[str, tuple[float, ...]] | None:
        """The values of every parameter, if there are finitely many."""
        finite = {name: p.values for name, p in self.parameters.items() if isinstance(p, Choice)}
        return finite if len(finite) == len(self.parameters) else None

    def _distinct(self, n: int, seed: Sequence[int], taken: set[bytes]) -> Tasks:
        rng = np.random.default_rng(seed)
        found: list[Tasks] = []
        repeated = 0
        while len(found) < n:
            task = self.sample(1, rng)
            content = b"".join(value.tobytes() for value in task.values())
            repeated = repeated + 1 if content in taken else 0
            if repeated > _MOST_REPEATS:
                raise ValueError(
                    f"expected {n} different tasks, found {len(found)} and then none that is new"
                )
            if not repeated:
                taken.add(content)
                found.append(task)
        return {name: np.concatenate([task[name] for task in found]) for name in self.parameters}

    def beyond(self, scale: float) -> TaskSpace:
        """Out-of-distribution tasks: drawn from a range `scale` times as wide, outside this one.

        Tasks of this space stay valid. Parameters that have no range to exceed (choices, headings) stay as
        they are.

        Raises:
            ValueError: a scale below 1.01 or above 1e6, or no parameter whose range can be exceeded.
        """
        if not isinstance(scale, (int, float)) or not _LEAST_SCALE <= scale <= _MOST_SCALE:
            raise ValueError(
                f"expected a scale from {_LEAST_SCALE} to {_MOST_SCALE:g} for tasks beyond, got {told(scale)}"
            )
        wide = {name: p.widened(scale) for name, p in self.parameters.items()}
        if all(outer is None for outer in wide.values()):
            kinds = ", ".join(f"{name} {p}" for name, p in self.parameters.items())
            raise ValueError(f"expected a task parameter with a range to go beyond, got {kinds}")
        pairs = ((name, p, wide[name]) for name, p in self.parameters.items())
        return TaskSpace({name: p if outer is None else Beyond(p, outer) for name, p, outer in pairs})

    def pack(self, tasks: Tasks) -> Array:
        """Tasks as vectors, for policies that observe the task; [n, packed].

        Headings become cosine and sine, multipliers their logarithm; the order is that of `parameters`.

        Raises:
            ValueError: other keys than this space's, or no arrays.
        """
        if not isinstance(tasks, Mapping) or set(tasks) != set(self.parameters):
            raise ValueError(f"expected tasks with keys {sorted(self.parameters)}, got {told(tasks)}")
        for name, parameter in self.parameters.items():
            if not _is_real(tasks[name]) or tasks[name].shape[1:] != parameter.shape:
                raise ValueError(
                    f"task {name!r}: expected an array of tasks, each of shape {parameter.shape}, "
                    f"got {told(tasks[name])}"
                )
        return np.concatenate([p.pack(tasks[name]) for name, p in self.parameters.items()], axis=1)

    def unpack(self, packed: Array) -> Tasks:
        """The inverse of `pack`, up to rounding.

        Raises:
            ValueError: vectors of another length, or not of finite numbers.
        """
        sizes = self._packed_sizes()
        expected = f"expected packed tasks of shape (n, {sum(sizes)})"
        packed = real_array(expected, packed, lambda given: given.ndim == 2 and given.shape[1] == sum(sizes))
        pieces = np.split(packed, np.cumsum(sizes)[:-1], axis=1)
        parts = zip(self.parameters.items(), pieces, strict=True)
        return {name: p.unpack(piece) for (name, p), piece in parts}

    @property
    def size(self) -> int | None:
        """How many different tasks there are; None for infinitely many."""
        choices = self._choices()
        return None if choices is None else prod(len(values) for values in choices.values())

    @property
    def packed_size(self) -> int:
        """Length of a packed task."""
        return sum(self._packed_sizes())

    def _packed_sizes(self) -> list[int]:
        default = stack_tasks([self.default])
        return [p.pack(default[name]).shape[1] for name, p in self.parameters.items()]

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
        check_at_least(0, n=n)
        return self._validate(tasks, (n,))

    def _validate(self, values: Mapping[str, Any], leading: tuple[int, ...]) -> Tasks:
        if not isinstance(values, Mapping):
            raise ValueError(f"expected a task with keys {sorted(self.parameters)}, got {told(values)}")
        if set(values) != set(self.parameters):
            raise ValueError(f"expected a task with keys {sorted(self.parameters)}, got {told([*values])}")
        valid: Tasks = {}
        for name, parameter in self.parameters.items():
            given = as_array(values[name])
            if given.dtype.kind not in REAL:
                raise ValueError(f"task {name!r}: expected numbers, got {told(values[name])}")
            value = given.astype(np.float64)
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
    """Joins single tasks into a batch with a leading task axis.

    Raises:
        ValueError: no tasks with the same keys, each of numbers of one shape.
    """
    listed = isinstance(tasks, Sequence | np.ndarray) and len(tasks) > 0
    if not listed or not all(isinstance(task, Mapping) and task for task in tasks):
        raise ValueError(f"expected a list of tasks, each a mapping of its parameters, got {told(tasks)}")
    names = tasks[0]
    columns = {name: as_array([task.get(name) for task in tasks]) for name in names}
    if any(column.dtype.kind not in REAL for column in columns.values()):
        raise ValueError(
            f"expected tasks with the same keys, each of numbers of one shape, got {told(tasks)}"
        )
    return {name: column.astype(np.float64) for name, column in columns.items()}


def unstack_tasks(tasks: Mapping[str, Array]) -> Iterator[Task]:
    """Yields the single tasks of a batch, as copies.

    Raises:
        ValueError: no mapping of arrays with as many tasks each.
    """
    arrays = isinstance(tasks, Mapping) and all(map(_is_real, tasks.values()))
    if not arrays or not tasks or len({np.shape(values)[:1] for values in tasks.values()} - {()}) != 1:
        raise ValueError(f"expected tasks as a mapping of arrays, [task, ...] each, got {told(tasks)}")
    for i in range(number_of_tasks(tasks)):
        yield {name: v[i].copy() if v.ndim > 1 else float(v[i]) for name, v in tasks.items()}


def repeat_tasks(tasks: Mapping[str, Array], episodes: int) -> Tasks:
    """Repeats every task for its episodes: [task, ...] -> [task * episode, ...]."""
    return {name: np.repeat(values, episodes, axis=0) for name, values in tasks.items()}


def number_of_tasks(tasks: Mapping[str, Array]) -> int:
    return len(next(iter(tasks.values())))


def number_tasks(tasks: Mapping[str, Array]) -> NDArray[np.int64]:
    """A number for every task, equal where tasks are: 0, 1, ... in order of appearance; [task]."""
    numbers: dict[bytes, int] = {}
    contents = (
        b"".join(v.tobytes() for v in map(np.asarray, task.values())) for task in unstack_tasks(tasks)
    )
    return np.array([numbers.setdefault(content, len(numbers)) for content in contents])


def _is_real(values: object) -> bool:
    return isinstance(values, np.ndarray) and values.dtype.kind in REAL


def _check_count(n: int) -> None:
    check_at_least(1, **{"the number of tasks to sample": n})


def _is_parameter(given: object) -> bool:
    return not isinstance(given, type) and all(
        callable(getattr(given, name, None)) for name in ("sample", "contains", "pack", "unpack", "widened")
    )
