"""The settings of a run as the columns of the page HParams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metarl.runs.run_config import CHANGEABLE

_NOT_COMPARED = CHANGEABLE | {"training.device", "training.tasks_at_once", "environment.vectorization"}
"""Settings on which results do not depend, or that a resumed run may change."""


def hyperparameters(config: Mapping[str, Any]) -> dict[str, bool | int | float | str]:
    """The settings that a sweep may compare, by their dotted keys; lists as text."""
    flat = _flat(config, "")
    return {
        key: _cell(value) for key, value in flat.items() if key not in _NOT_COMPARED and value is not None
    }


def _cell(value: Any) -> bool | int | float | str:
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def _flat(section: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in section.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return found
