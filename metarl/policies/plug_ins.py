"""Names in configs: of what is registered, or "my_package:Thing" for what a module of the user's holds."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from metarl_envs.arguments import told

from metarl.errors import ConfigError, one_line


def names_module(name: object) -> bool:
    """Whether a name in a config stands for something that has to be imported: "my_package:Thing"."""
    return isinstance(name, str) and ":" in name


def find_named(key: str, name: object, registered: Mapping[str, Any]) -> Any:
    """What is registered under a name, or what the module holds that it names.

    Args:
        key: of the config, for errors.
        registered: things by their names.

    Raises:
        ConfigError: nothing of that name, or a module that cannot be imported or does not hold it.
    """
    if isinstance(name, str) and name in registered:
        return registered[name]
    if not isinstance(name, str) or not names_module(name):
        names = sorted(registered)
        near = get_close_matches(str(name), names, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(f"{key}: expected one of {names}, or my_package:Thing, got {name!r}{hint}")
    module, _, attribute = name.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a user's module may fail in any way
        reason = f"{type(error).__name__}: {one_line(error)}"
        raise ConfigError(
            f"{key}: expected what a module in PYTHONPATH holds, got {name!r}: {reason}"
        ) from error


def check_registered_name(name: str, thing: Any, registered: Mapping[str, Any]) -> None:
    """Checks that a name can be told from that of a module's thing, and is no other thing's already.

    What was defined anew under its own name, as in a notebook, takes the place of its former self.

    Args:
        thing: what is to have the name, a class or a function.
        registered: things by their names.

    Raises:
        ValueError: it cannot, or it is.
    """
    if not isinstance(name, str) or not name or names_module(name):
        raise ValueError(f"expected a name without a colon, such as my_thing, got {told(name)}")
    if name in registered and _origin(registered[name]) != _origin(thing):
        held = _origin(registered[name])
        raise ValueError(f"expected a name that is free, got {name!r}, which is that of {held}")


def _origin(thing: Any) -> str:
    """Where a class or function was defined."""
    return f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', told(thing))}"
