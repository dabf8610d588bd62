"""Checks what a vector environment is given, and puts what it returns into Gymnasium's form."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from metarl_envs.arguments import REAL, as_array, check_seed, told
from metarl_envs.task_parameters import Array
from metarl_envs.tasks import Tasks, TaskSpace, stack_tasks

Bools = NDArray[np.bool_]


RESET_OPTIONS = ("reset_mask", "task", "tasks")


def one_task_each(
    space: TaskSpace, tasks: Sequence[Mapping[str, Any]] | Mapping[str, Any], num_envs: int
) -> Tasks:
    """The tasks of all environments, validated: one dict each, or a dict of arrays [env, ...].

    Raises:
        ValueError: another number of tasks than environments, or a task outside the task space.
    """
    if not isinstance(tasks, Mapping | Sequence | np.ndarray) or isinstance(tasks, str | bytes):
        raise ValueError(f"expected {num_envs} tasks, one mapping per environment, got {told(tasks)}")
    given = next(iter(tasks.values()), ()) if isinstance(tasks, Mapping) else tasks
    try:
        count = len(given)
    except TypeError:  # one number, not one per environment
        count = 1
    if count != num_envs:
        raise ValueError(f"expected {num_envs} tasks, one per environment, got {count}")
    if isinstance(tasks, Mapping):
        return space.validate_batch(tasks, num_envs)
    return stack_tasks([space.validate(task) for task in tasks])


def checked_reset_options(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """The options of a reset.

    Raises:
        ValueError: no mapping, or an option that does not exist.
    """
    given = {} if options is None else options
    if not isinstance(given, Mapping):
        raise ValueError(f"expected reset options as a mapping, or None, got {told(given)}")
    if unknown := [option for option in given if option not in RESET_OPTIONS]:
        raise ValueError(f"expected reset options among {list(RESET_OPTIONS)}, got {told(unknown)}")
    return dict(given)


def checked_actions(actions: NDArray[np.floating[Any]], shape: tuple[int, ...]) -> Array:
    """The actions in float64, [env, action].

    Raises:
        ValueError: no real numbers, another shape, or not finite.
    """
    given = as_array(actions)
    if given.dtype.kind not in REAL:
        raise ValueError(f"expected actions of real numbers of shape {shape}, got {told(actions)}")
    checked = given.astype(np.float64, copy=False)
    if checked.shape != shape:
        raise ValueError(f"expected actions of shape {shape}, got {checked.shape}")
    if not np.isfinite(checked).all():
        env = int(np.flatnonzero(~np.isfinite(checked).all(-1))[0])
        raise ValueError(f"expected finite actions, got {checked[env].tolist()} for environment {env}")
    return checked


def checked_autoreset_mode(mode: str | AutoresetMode) -> AutoresetMode:
    """Gymnasium's mode of that name.

    Raises:
        ValueError: no such mode.
    """
    names = [known.value for known in AutoresetMode]
    if not isinstance(mode, AutoresetMode) and not (isinstance(mode, str) and mode in names):
        raise ValueError(f"expected autoreset_mode to be one of {names}, got {told(mode)}")
    return AutoresetMode(mode)


def checked_reset_mask(options: Mapping[str, Any], num_envs: int) -> Bools:
    """Which environments to reset, [env]; all without `reset_mask`.

    Raises:
        ValueError: not a bool array [env] with at least one True.
    """
    mask = options.get("reset_mask", np.ones(num_envs, dtype=np.bool_))
    is_mask = isinstance(mask, np.ndarray) and mask.dtype == np.bool_ and mask.shape == (num_envs,)
    if not is_mask or not mask.any():
        raise ValueError(
            f"expected options['reset_mask'] to be a bool array of shape ({num_envs},) with at "
            f"least one True, got {told(mask)}"
        )
    return np.asarray(mask, dtype=np.bool_)


def one_seed_each(seed: int | Sequence[int | None] | None, num_envs: int) -> list[int | None]:
    """seed + i for environment i, or the seeds given one by one.

    Raises:
        ValueError: another number of seeds than environments, or one that is no integer >= 0.
    """
    if seed is None:
        return [None] * num_envs
    if isinstance(seed, (int, np.integer)):
        check_seed(seed)
        return [int(seed) + i for i in range(num_envs)]
    if not isinstance(seed, Sequence | np.ndarray) or isinstance(seed, str | bytes):
        raise ValueError(f"expected a seed, or {num_envs} seeds, one per environment, got {told(seed)}")
    if len(seed) != num_envs:
        raise ValueError(f"expected {num_envs} seeds, one per environment, got {len(seed)}")
    for one in seed:
        check_seed(one)
    return [None if one is None else int(one) for one in seed]


def masked(values: Mapping[str, NDArray[Any]], mask: Bools) -> dict[str, Any]:
    """Gymnasium's vector info: each `key` beside `_key`, the environments it is meant for."""
    return {**values, **{f"_{name}": mask.copy() for name in values}}


def final_info(observation: Array, info: dict[str, Any], finished: Bools) -> dict[str, Any]:
    """The end of episodes whose environments start again in the same step, in Gymnasium's form."""
    final_obs = np.full(len(finished), None, dtype=object)
    for i in np.flatnonzero(finished):
        final_obs[i] = observation[i].copy()
    final = {"final_obs": final_obs, "final_info": copy.deepcopy(info)}
    return {**final, "_final_obs": finished.copy(), "_final_info": finished.copy()}
