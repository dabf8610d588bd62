"""Configs of earlier versions, as this one writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_UNREAD = {"min_std": None, "output_gain": None, "start_from": ""}
"""Keys of the policy that learning from scratch never read; of the last, no other value."""


def migrated(values: Mapping[str, Any]) -> dict[str, Any]:
    """The config of version 0.1.0, where learning from scratch was a meta-learner of the name `scratch`."""
    learner = values.get("meta_learner")
    if not (isinstance(learner, Mapping) and learner.get("name") == "scratch"):
        return dict(values)
    moved = {key: value for key, value in values.items() if key != "meta_learner"}
    moved["from_scratch"] = {key: value for key, value in learner.items() if key != "name"}
    if isinstance(policy := values.get("policy"), Mapping):
        moved["policy"] = {
            key: value
            for key, value in policy.items()
            if key not in _UNREAD or _UNREAD[key] not in (None, value)
        }
    return moved
