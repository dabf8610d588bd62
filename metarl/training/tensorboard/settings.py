"""The settings of a run as the columns of the page HParams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from typing import Any

from metarl.meta_learners.registry import META_LEARNERS
from metarl.runs.run_config import CHANGEABLE

Cell = bool | int | float | str
_NOT_COMPARED = CHANGEABLE | {"training.device", "training.tasks_at_once", "environment.vectorization"}
"""Settings on which results do not depend, or that a resumed run may change."""
_FIRST = {
    "meta_learner.name": "Algorithm",
    "environment.id": "Environment",
    "meta_learner.inner_step_size": "Inner step size",
    "meta_learner.inner_steps": "Inner steps",
    "seed": "Seed",
}
"""The page shows five columns by itself, the first of the alphabet, in which capitals come first."""


def hyperparameters(config: Mapping[str, Any]) -> dict[str, Cell]:
    """The settings that a sweep may compare, by column; lists as text.

    Args:
        config: the sections of the resolved config, of keys that have effect alone.
    """
    return {
        _FIRST.get(key, key): _cell(value)
        for key, value in _flat(config, "").items()
        if key not in _NOT_COMPARED and value is not None
    }


def every_learners_settings() -> dict[str, Cell]:
    """As `hyperparameters`, what all learners have by themselves: the columns that other runs may fill."""
    found: dict[str, Cell] = {}
    for registered in META_LEARNERS.values():
        kind = registered.config
        if all(
            field.default is not MISSING or field.default_factory is not MISSING for field in fields(kind)
        ):
            found |= hyperparameters({"meta_learner": asdict(kind())})
    return found


def _cell(value: Any) -> Cell:
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def _flat(section: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in section.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return found
