"""What configs name: their policy and their meta-learner, and the modules that would be imported for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metarl.policies.plug_ins import names_module

MODULE_KEYS = {
    "environment.id": "an environment that is already registered",
    "policy.name": "a registered policy",
    "meta_learner.name": "a registered meta-learner",
    "data.name": "data that metarl has",
    "network.name": "a network that metarl has",
    "learner.name": "a learner that metarl has",
}
"""Keys whose value may name a module, as "my_package:Thing" does, and what they expect where it may not."""


def take_name(values: dict[str, Any], words: list[str], section: str, default: str | None = None) -> Any:
    """Takes the `name` of a section out of the values and the words, whose last one counts.

    Raises:
        ValueError: the section is none.
    """
    keys = values.get(section, {})
    if not isinstance(keys, dict):
        raise ValueError(f"{section}: expected a section of keys, got {keys!r}")
    name = keys.get("name", default)
    values[section] = {key: value for key, value in keys.items() if key != "name"}
    option = f"--{section}.name"
    while option in words:
        at = words.index(option)
        name = "".join(words[at + 1 : at + 2])
        del words[at : at + 2]
    return name


def named_modules(values: Mapping[str, Any]) -> dict[str, str]:
    """The keys of a config that name a module to import, and their values; nothing is imported.

    Args:
        values: a config as it stands in its file.
    """
    found = {}
    for key in MODULE_KEYS:
        section, own = key.split(".")
        keys = values.get(section)
        if isinstance(keys, Mapping) and names_module(keys.get(own)):
            found[key] = keys[own]
    return found
