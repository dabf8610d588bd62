"""Configs of version 0.1.0 in today's form: run folders hold them."""

from __future__ import annotations

from typing import Any

_TRUST_REGION = {
    "max_kl": 0.01,
    "cg_iterations": 10,
    "cg_damping": 1e-5,
    "cg_tolerance": 1e-10,
    "backtrack_ratio": 0.8,
    "max_backtracks": 15,
}
_DIFFERENTIATED = {"first_order": False, "differentiated_steps": None, "recompute": False}
_UNREAD: dict[str, dict[str, Any]] = {
    "promp": {"trust_region": _TRUST_REGION},
    "maml_pp": {"trust_region": _TRUST_REGION},
    "imaml": _DIFFERENTIATED,
    "multi_task": _DIFFERENTIATED,
}
"""Settings that 0.1.0 wrote for algorithms that do not read them, at the only values that it admitted."""
_MOVED = {"schedule_updates", "final_learning_rate"}
"""Settings of MAML++ that belong to its outer step."""


def in_todays_form(learner: str, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of a `meta_learner` section without its name, as this version knows them.

    Args:
        learner: the section's name.
    """
    unread = _UNREAD.get(learner, {})
    kept = {key: value for key, value in settings.items() if key not in unread or not _is(value, unread[key])}
    if learner != "maml_pp" or not _MOVED & set(kept):
        return kept
    moved = {key: kept.pop(key) for key in _MOVED & set(kept)}
    return {**kept, "clipped": {"schedule": "cosine", **kept.get("clipped", {}), **moved}}


def _is(value: Any, expected: Any) -> bool:
    if isinstance(expected, dict) and isinstance(value, dict):
        return all(key in expected and value[key] == expected[key] for key in value)
    return bool(value == expected)
