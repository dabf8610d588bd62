"""Configs of earlier versions, as this one writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_WITHOUT_SCRATCH = {"min_std": None, "output_gain": None, "start_from": ""}
"""Keys of the policy that learning from scratch never read; of the last, no other value."""
_TRUST_REGION = {
    "max_kl": 0.01,
    "cg_iterations": 10,
    "cg_damping": 1e-5,
    "cg_tolerance": 1e-10,
    "backtrack_ratio": 0.8,
    "max_backtracks": 15,
}
_DIFFERENTIATED = {"first_order": False, "differentiated_steps": None, "recompute": False}
_NEVER_READ: dict[str, dict[str, Any]] = {
    "promp": {"trust_region": _TRUST_REGION},
    "maml_pp": {"trust_region": _TRUST_REGION},
    "imaml": _DIFFERENTIATED,
    "multi_task": _DIFFERENTIATED,
}
"""Settings that 0.1.0 wrote for algorithms that do not read them, at the only values that it admitted."""
_WRITTEN_WITH_STEPS = {"inner_step_size", "later_step_scale", "inner_objective"}
"""Keys that a saved config has all of: beside them, earlier versions wrote multi_task's `inner_steps`, which
nothing read, at any value."""
_SPELT = {"normalize_observations": "normalise_observations"}
_MOVED = {"schedule_updates", "final_learning_rate"}
"""Settings of MAML++ that belong to its outer step."""


def migrated(values: Mapping[str, Any]) -> dict[str, Any]:
    """The config of version 0.1.0 in the form of this one.

    Learning from scratch was a meta-learner of the name `scratch` there; settings that an algorithm does not
    read stood in its section; and MAML++'s schedule outside its outer step's. Before 0.2.0 was
    released, observations were normalised with a z.
    """
    values = {**values, "policy": _as_spelt(values["policy"])} if "policy" in values else dict(values)
    learner = values.get("meta_learner")
    if not isinstance(learner, Mapping):
        return values
    if learner.get("name") == "scratch":
        return _from_scratch(values, learner)
    return {**values, "meta_learner": _as_read(learner)}


def _as_spelt(policy: Any) -> Any:
    """The policy's section with the one spelling of its keys."""
    if not isinstance(policy, Mapping):
        return policy
    return {_SPELT.get(key, key): value for key, value in policy.items()}


def _from_scratch(values: Mapping[str, Any], learner: Mapping[str, Any]) -> dict[str, Any]:
    moved = {key: value for key, value in values.items() if key != "meta_learner"}
    moved["from_scratch"] = {key: value for key, value in learner.items() if key != "name"}
    if isinstance(policy := values.get("policy"), Mapping):
        moved["policy"] = {
            key: value
            for key, value in policy.items()
            if key not in _WITHOUT_SCRATCH or _WITHOUT_SCRATCH[key] not in (None, value)
        }
    return moved


def _as_read(learner: Mapping[str, Any]) -> dict[str, Any]:
    name = learner.get("name")
    unread = _NEVER_READ.get(name, {}) if isinstance(name, str) else {}
    kept = {key: value for key, value in learner.items() if key not in unread or not _is(value, unread[key])}
    if name == "multi_task" and set(kept) >= _WRITTEN_WITH_STEPS:
        kept.pop("inner_steps", None)
    if name != "maml_pp" or not _MOVED & set(kept):
        return kept
    moved = {key: kept.pop(key) for key in _MOVED & set(kept)}
    clipped = kept.get("clipped", {})
    if not isinstance(clipped, Mapping):
        return kept
    if not moved.get("schedule_updates"):
        return kept
    return {**kept, "clipped": {"schedule": "cosine", **clipped, **moved}}


def _is(value: Any, expected: Any) -> bool:
    if isinstance(expected, dict) and isinstance(value, dict):
        return all(key in expected and value[key] == expected[key] for key in value)
    return bool(value == expected)
