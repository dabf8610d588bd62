"""A user's own environment: `--env ID`, or `--env module:callable`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any

import gymnasium
from metarl_envs.foreign.outcomes import told_exception

from metarl.errors import ConfigError


def open_env(name: str, options: Mapping[str, Any]) -> gymnasium.Env[Any, Any]:
    """The environment of a registered id, or that a callable of a module returns.

    Args:
        name: "Pendulum-v1", "my_package:MyEnv-v0" or "my_module:make_env".
        options: keyword arguments of either.

    Returns:
        The environment, which raises ConfigError where the user's own code raises anything.

    Raises:
        ConfigError: neither is there, or it takes other options, makes no environment or fails.
    """
    module_name, _, attribute = name.rpartition(":")
    try:
        module = import_module(module_name) if module_name else None
        made = getattr(module, attribute, None)
        env = gymnasium.make(name, **options) if made is None else made(**options)
    except (ImportError, TypeError, ValueError, gymnasium.error.Error) as error:
        raise ConfigError(
            f"--env: expected an id, or module:callable of a module in PYTHONPATH (of the working directory: "
            f"export PYTHONPATH=$PWD), got {name}: {_reason(module_name, attribute, error)}"
        ) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise _fault(name, error) from error
    if not isinstance(env, gymnasium.Env):
        raise ConfigError(f"--env {name}: expected a gymnasium.Env, got {type(env).__name__}")
    return _OwnEnv(env, name)


def _reason(module_name: str, attribute: str, error: Exception) -> object:
    """Gymnasium speaks of versions where a module has no such callable."""
    is_missing = isinstance(error, gymnasium.error.Error) and module_name in sys.modules
    return f"{module_name} has no {attribute} and registers no such id" if is_missing else error


class _OwnEnv(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Tells in one line what the environment raises, and is called what the command line calls it."""

    def __init__(self, env: gymnasium.Env[Any, Any], name: str) -> None:
        super().__init__(env)
        self._name = name

    def __str__(self) -> str:
        return self._name

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        return self._call(self.env.reset, seed=seed, options=options)

    def step(self, action: Any) -> Any:
        return self._call(self.env.step, action)

    def close(self) -> None:
        self._call(self.env.close)

    def get_wrapper_attr(self, name: str) -> Any:
        found = super().get_wrapper_attr(name)
        return partial(self._call, found) if callable(found) else found

    def _call(self, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        try:
            return function(*arguments, **keywords)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise _fault(self._name, error) from error


def _fault(name: str, error: BaseException) -> ConfigError:
    return ConfigError(f"--env {name}: {told_exception(error)}")
