"""What any other gymnasium environment needs to be adapted to: a way to take tasks, and to sample them.

A task reaches the environment through the first of these that it, or a wrapper around it, has:
`set_task(task)`, `reset_task(task)`, `reset(options={"task": task})`. Every Gymnasium environment accepts
`options`, and most do not read them: this way counts only where the environment has `sample_tasks`, or an
attribute `reads_task_option = True`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any
from weakref import finalize

import gymnasium
import numpy as np

from metarl_envs.arguments import REAL, as_array, check_kind, told
from metarl_envs.foreign.outcomes import told_exception
from metarl_envs.tasks import Tasks, stack_tasks

AnyEnv = gymnasium.Env[Any, Any]


def apply_task(env: AnyEnv, task: Mapping[str, Any]) -> dict[str, Any]:
    """Gives the environment its task; returns the options its next `reset` needs.

    Raises:
        TypeError: no Gymnasium environment.
        ValueError: no mapping, an environment that takes no task, or one that refuses this task.
    """
    check_kind(gymnasium.Env, "a gymnasium.Env", env=env)
    if not isinstance(task, Mapping):
        raise ValueError(f"expected a task as a mapping of its parameters, got {told(task)}")
    for hook in ("set_task", "reset_task"):
        if env.has_wrapper_attr(hook):
            env.get_wrapper_attr(hook)(dict(task))
            return {}
    if _reads_task_option(env):
        return {"task": dict(task)}
    raise ValueError(
        f'expected an environment with set_task, reset_task or reset(options={{"task": ...}}), got {env}; '
        "leave the task out, or give the environment a hook (options count with sample_tasks, or with "
        "reads_task_option = True)"
    )


def _reads_task_option(env: AnyEnv) -> bool:
    if env.has_wrapper_attr("reads_task_option"):
        return bool(env.get_wrapper_attr("reads_task_option"))
    if not env.has_wrapper_attr("sample_tasks"):
        return False
    if misspelt := get_close_matches("set_task", dir(env.unwrapped), n=1, cutoff=0.85):
        raise ValueError(
            f"expected set_task(task), got {misspelt[0]}; rename it, or say "
            'reads_task_option = True where tasks come by reset(options={"task": ...})'
        )
    return True


def close_env(env: AnyEnv) -> None:
    """Closes the environment.

    Warns:
        UserWarning: it raised something instead; what came before is none the worse.
    """
    try:
        env.close()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        message = f"expected an environment that closes, got {told_exception(error)}"
        warnings.warn(message, stacklevel=2)


class SampledTasks:
    """The tasks of an environment with `sample_tasks(n)`, drawn from the environment's own generator.

    The environment is closed with the last reference to this object, or at the end of the process.
    """

    def __init__(self, env: AnyEnv) -> None:
        check_kind(gymnasium.Env, "a gymnasium.Env", env=env)
        if not env.has_wrapper_attr("sample_tasks"):
            raise ValueError(
                f"expected {env.unwrapped} to have sample_tasks(n), which returns a list of task dicts"
            )
        self._env = env
        finalize(self, close_env, env)

    @property
    def holds_out(self) -> bool:
        """Whether the environment has test tasks of its own, `sample_held_out_tasks(n)`."""
        return self._env.has_wrapper_attr("sample_held_out_tasks")

    def sample(self, n: int, rng: np.random.Generator) -> Tasks:
        """Draws n tasks; the same generator state gives the same tasks.

        Raises:
            ValueError: no list of tasks with the same keys, each of numbers of one shape.
        """
        return self._drawn("sample_tasks", n, rng)

    def sample_held_out(self, n: int, rng: np.random.Generator) -> Tasks:
        """Draws n test tasks by the environment's `sample_held_out_tasks(n)`; without that, as `sample`.

        Raises:
            ValueError: as `sample`.
        """
        return self._drawn("sample_held_out_tasks" if self.holds_out else "sample_tasks", n, rng)

    def validate(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """The environment judges its tasks itself; they only need to consist of numbers.

        Raises:
            ValueError: an empty task, or one that holds something else than numbers.
        """
        if not isinstance(task, Mapping) or not task:
            raise ValueError(f"expected a task with at least one key, got {told(task)}")
        for name, value in task.items():
            if _shape(value) is None:
                raise ValueError(f"task {name!r}: expected numbers, got {value!r}")
        return dict(task)

    def _drawn(self, method: str, n: int, rng: np.random.Generator) -> Tasks:
        self._env.reset(seed=int(rng.integers(2**31)))
        drawn = self._env.get_wrapper_attr(method)(n)
        try:
            _check_alike(drawn)
            if len(drawn) != n:
                raise ValueError(f"expected {n} tasks, got {len(drawn)}")
        except ValueError as error:
            raise ValueError(f"{method}: {error}") from None
        return stack_tasks(drawn)


def _check_alike(tasks: Any) -> None:
    """Checks that the tasks can be stacked."""
    if not isinstance(tasks, (Sequence, np.ndarray)) or not len(tasks):
        raise ValueError(f"expected a list of tasks, got {told(tasks)}")
    for task in tasks:
        if not isinstance(task, Mapping) or not task:
            raise ValueError(f"expected every task to be a dict with at least one key, got {told(task)}")
        if not all(isinstance(name, str) for name in task):
            raise ValueError(f"expected tasks whose keys are text, got {told(task)}")
        if set(task) != set(tasks[0]):
            raise ValueError(f"expected tasks with the same keys, got {list(tasks[0])} and {list(task)}")
    for name, first in tasks[0].items():
        expected = f"task {name!r}: expected numbers or arrays of numbers of one shape"
        shape = _shape(first)
        for value in (task[name] for task in tasks):
            if _shape(value) is None:
                raise ValueError(f"{expected}, got {told(value)}")
            if not np.isfinite(as_array(value)).all():
                raise ValueError(f"task {name!r}: expected finite numbers, got {told(value)}")
            if _shape(value) != shape:
                raise ValueError(f"{expected}, got {told(first)} and {told(value)}")


def _shape(value: Any) -> tuple[int, ...] | None:
    """Of an array of real numbers; None of anything else."""
    numbers = as_array(value)
    return numbers.shape if numbers.dtype.kind in REAL else None
