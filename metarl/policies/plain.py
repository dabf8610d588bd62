"""Policies as plain data: {"name": "gaussian_mlp", "settings": {...}}, one in another where they are so."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from metarl.errors import ConfigError, RunError
from metarl.policies.context import ContextPolicy
from metarl.policies.policy import Policy
from metarl.policies.registry import POLICIES, find_policy

_WRAPPERS: dict[str, type[Any]] = {"context": ContextPolicy}
"""Policies that learners put around others: names of files, not of configs."""
_KEYS = {"name", "settings"}


def policy_to_plain(policy: Policy) -> dict[str, Any]:
    """The policy's name, registered or "my_package:MyPolicy", and its settings, sizes among them.

    Raises:
        ConfigError: the policy, or one that it holds, is no dataclass of plain settings.
    """
    return _named(policy)


def policy_from_plain(plain: Mapping[str, Any], trust: bool = False) -> Policy:
    """The policy that `policy_to_plain` described.

    Args:
        trust: import the modules that it names.

    Raises:
        RunError: it names a module and is not trusted, or a policy that is not there, or settings that the
            policy does not take.
    """
    if not trust and (modules := modules_named(plain)):
        raise RunError(
            f"policy: expected one of {sorted(POLICIES)}, got {modules[0]!r}, whose module would be "
            "imported: pass trust=True (--trust) if you trust this file"
        )
    found: Policy = _made(plain)
    return found


def modules_named(plain: Any) -> list[str]:
    """The names in a policy's plain data that would import a module, the outermost first."""
    return list(_modules(plain))


def _modules(plain: Any) -> Iterator[str]:
    if isinstance(plain, Mapping):
        if plain.keys() == _KEYS and ":" in str(plain["name"]):
            yield str(plain["name"])
        for value in plain.values():
            yield from _modules(value)
    elif isinstance(plain, list):
        for value in plain:
            yield from _modules(value)


def _named(value: Any) -> dict[str, Any]:
    kind = type(value)
    if not is_dataclass(kind):
        raise ConfigError(
            f"policy: expected a dataclass, whose settings a policy file can hold, got {kind.__name__}; make "
            "it one with @dataclass(frozen=True)"
        )
    known = {known: name for name, known in {**_WRAPPERS, **POLICIES}.items()}
    name = known.get(kind, f"{kind.__module__}:{kind.__qualname__}")
    settings = {f.name: _plain(f"{name}.{f.name}", getattr(value, f.name)) for f in fields(kind) if f.init}
    return {"name": name, "settings": settings}


def _plain(where: str, value: Any) -> Any:
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if isinstance(value, (list, tuple)):
        return [_plain(where, item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(where, item) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return _named(value)
    raise ConfigError(
        f"{where}: expected a setting that a policy file can hold (a finite number, text, a list of these, "
        f"or a dataclass), got {value!r:.80}"
    )


def _made(plain: Any) -> Any:
    """Lists become tuples, as in frozen dataclasses."""
    if isinstance(plain, list):
        return tuple(_made(item) for item in plain)
    if not isinstance(plain, Mapping):
        return plain
    values = {key: _made(item) for key, item in plain.items()}
    if plain.keys() != _KEYS:
        return values
    name, settings = str(values["name"]), values["settings"]
    try:
        kind = _WRAPPERS.get(name) or find_policy(name)
        return kind(**settings)
    except ConfigError as error:
        raise RunError(f"{error}; then load the file again") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise RunError(
            f"policy: expected settings that {name} takes, got {settings!r:.200}: {error}; load it with the "
            "version that wrote it"
        ) from error
