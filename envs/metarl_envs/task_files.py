"""Task lists as plain data and as JSON or YAML files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from metarl_envs.tasks import Tasks, TaskSpace, stack_tasks, unstack_tasks


def tasks_to_data(tasks: Tasks) -> list[dict[str, Any]]:
    """One dict of numbers and nested lists for each task, which `json.dumps` and `yaml.safe_dump` take."""
    return [
        {name: value.tolist() if hasattr(value, "tolist") else value for name, value in task.items()}
        for task in unstack_tasks(tasks)
    ]


def tasks_from_data(space: TaskSpace, data: Any) -> Tasks:
    """The inverse of `tasks_to_data`, validated.

    Raises:
        ValueError: not a list of tasks of this space; the message names the task.
    """
    if not isinstance(data, list) or not data or not all(isinstance(task, Mapping) for task in data):
        raise ValueError(f"expected a list of tasks with keys {sorted(space.parameters)}, got {data!r:.80}")
    valid = []
    for i, task in enumerate(data):
        try:
            valid.append(space.validate(task))
        except ValueError as error:
            raise ValueError(f"task {i}: {error}") from error
    return stack_tasks(valid)


def write_tasks(path: str | Path, tasks: Tasks) -> None:
    """Writes a list of tasks, exactly; JSON or YAML by the file's suffix.

    Raises:
        ValueError: another suffix.
    """
    path, data = Path(path), tasks_to_data(tasks)
    text = json.dumps(data, indent=1) + "\n" if _is_json(path) else yaml.safe_dump(data, sort_keys=False)
    path.write_text(text)


def read_tasks(path: str | Path, space: TaskSpace) -> Tasks:
    """Reads and validates a list of tasks.

    Raises:
        OSError: the file cannot be read.
        ValueError: another suffix, or not a list of tasks of this space.
    """
    path = Path(path)
    text = path.read_text()
    try:
        data = json.loads(text) if _is_json(path) else yaml.safe_load(text)
    except (json.JSONDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: expected JSON or YAML, got {' '.join(str(error).split())}") from error
    try:
        return tasks_from_data(space, data)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _is_json(path: Path) -> bool:
    if path.suffix not in (".json", ".yaml", ".yml"):
        raise ValueError(f"expected a .json, .yaml or .yml file of tasks, got {path}")
    return path.suffix == ".json"
