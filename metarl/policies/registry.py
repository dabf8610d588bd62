"""Names in configs and policy files -> policies."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from metarl.errors import ConfigError
from metarl.policies.gaussian_mlp import GaussianMLP

POLICIES: dict[str, type[Any]] = {"gaussian_mlp": GaussianMLP}
"""Policies by name: frozen dataclasses, whose fields are settings."""


def register_policy(name: str, policy: type[Any]) -> None:
    """Makes a policy known by a name."""
    POLICIES[name] = policy


def find_policy(name: str) -> type[Any]:
    """The class of a registered name, or of "my_package:MyPolicy", whose module is imported.

    Raises:
        ConfigError: there is none.
    """
    if ":" not in name:
        if name not in POLICIES:
            raise ConfigError(
                f'policy.name: expected one of {sorted(POLICIES)} or "my_package:MyPolicy", got {name!r}; '
                "register others with metarl.register_policy"
            )
        return POLICIES[name]
    module, _, path = name.partition(":")
    try:
        found: Any = import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f'policy.name: expected "my_package:MyPolicy", got {name!r}: {error}') from error
    if not isinstance(found, type):
        raise ConfigError(f"policy.name: expected a class, got {name!r}, a {type(found).__name__}")
    return found
