"""Task lists as plain data and as JSON or YAML files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import yaml

from metarl_envs.arguments import check_kind, told
from metarl_envs.tasks import Task, Tasks, stack_tasks, unstack_tasks

_DEEPEST = 50
"""Levels of lists and mappings in a file."""


class Validating(Protocol):
    """What judges a task: a `TaskSpace`, or the `SampledTasks` of an environment of others."""

    def validate(self, task: Mapping[str, Any]) -> Task: ...


def tasks_to_data(tasks: Tasks) -> list[dict[str, Any]]:
    """One dict of numbers and nested lists for each task, which `json.dumps` and `yaml.safe_dump` take.

    Raises:
        ValueError: no mapping of arrays with as many tasks each.
    """
    return [
        {name: value.tolist() if hasattr(value, "tolist") else value for name, value in task.items()}
        for task in unstack_tasks(tasks)
    ]


def tasks_from_data(space: Validating, data: Any) -> Tasks:
    """The inverse of `tasks_to_data`, validated.

    Raises:
        TypeError: no task space.
        ValueError: not a list of tasks that the space takes, alike in keys and shapes; the message names the
            task.
    """
    if not callable(getattr(space, "validate", None)):
        raise TypeError(f"space: expected a TaskSpace, got {told(space)}")
    if not isinstance(data, list) or not data or not all(isinstance(task, Mapping) for task in data):
        raise ValueError(f"expected a list of tasks, each a mapping of its parameters, got {told(data)}")
    valid: list[Task] = []
    for i, task in enumerate(data):
        try:
            valid.append(space.validate(task))
        except ValueError as error:
            raise ValueError(f"task {i}: {error}") from error
        if _shapes(valid[i]) != _shapes(valid[0]):
            raise ValueError(
                f"task {i}: expected keys and shapes as task 0, {valid[0]!r:.200}, got {valid[i]!r:.200}"
            )
    return stack_tasks(valid)


def write_tasks(path: str | Path, tasks: Tasks) -> None:
    """Writes a list of tasks, exactly; JSON or YAML by the file's suffix.

    Raises:
        TypeError: no path.
        ValueError: another suffix, or no tasks.
    """
    check_kind((str, Path), "a path", path=path)
    path, data = Path(path), tasks_to_data(tasks)
    text = json.dumps(data, indent=1) + "\n" if _is_json(path) else yaml.safe_dump(data, sort_keys=False)
    path.write_text(text)


def read_tasks(path: str | Path, space: Validating) -> Tasks:
    """Reads and validates a list of tasks.

    Raises:
        OSError: the file cannot be read.
        TypeError: no path, or as `tasks_from_data`.
        ValueError: another suffix, or as `tasks_from_data`.
    """
    check_kind((str, Path), "a path", path=path)
    path = Path(path)
    is_json = _is_json(path)
    try:
        text = path.read_text()
        data = json.loads(text) if is_json else _load_yaml(text)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: expected JSON or YAML, got {' '.join(str(error).split())}") from error
    try:
        return tasks_from_data(space, data)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _load_yaml(text: str) -> Any:
    """Data of few levels, and no aliases of what has aliases, by which a short file would hold more than any
    memory."""
    anchored: list[bool] = []
    for event in yaml.parse(text):
        if isinstance(event, yaml.CollectionStartEvent):
            anchored.append(event.anchor is not None)
        elif isinstance(event, yaml.CollectionEndEvent):
            anchored.pop()
        if len(anchored) > _DEEPEST or (isinstance(event, yaml.AliasEvent) and any(anchored)):
            raise yaml.YAMLError(f"aliases of aliases, or more than {_DEEPEST} levels, in a list of tasks")
    return yaml.safe_load(text)


def _shapes(task: Task) -> dict[str, tuple[int, ...]]:
    return {name: np.shape(value) for name, value in task.items()}


def _is_json(path: Path) -> bool:
    if path.suffix not in (".json", ".yaml", ".yml"):
        raise ValueError(f"expected a .json, .yaml or .yml file of tasks, got {path}")
    return path.suffix == ".json"
