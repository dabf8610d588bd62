"""A user's own environment: `--env ID`, or `--env module:callable`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import gymnasium

from metarl.errors import ConfigError


def open_env(name: str, options: Mapping[str, Any]) -> gymnasium.Env[Any, Any]:
    """The environment of a registered id, or that a callable of a module returns.

    Args:
        name: "Pendulum-v1", "my_package:MyEnv-v0" or "my_module:make_env".
        options: keyword arguments of either.

    Raises:
        ConfigError: neither is there, or it takes other options or makes no environment.
    """
    module_name, _, attribute = name.rpartition(":")
    try:
        module = import_module(module_name) if module_name else None
        made = getattr(module, attribute, None)
        env = gymnasium.make(name, **options) if made is None else made(**options)
    except (ImportError, TypeError, ValueError, gymnasium.error.Error) as error:
        raise ConfigError(
            f"--env: expected an id, or module:callable of a module in PYTHONPATH, got {name}: {error}"
        ) from error
    if not isinstance(env, gymnasium.Env):
        raise ConfigError(f"--env {name}: expected a gymnasium.Env, got {type(env).__name__}")
    return env
