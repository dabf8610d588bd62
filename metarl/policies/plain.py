"""Policies as plain data: {"name": "gaussian_mlp", "settings": {...}}, one in another where they are so."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from types import MappingProxyType
from typing import Any

from metarl.errors import ConfigError, RunError
from metarl.policies.context import ContextPolicy
from metarl.policies.normalised import NormalisedPolicy
from metarl.policies.plug_ins import find_named, names_module
from metarl.policies.policy import AnyPolicy, Policy
from metarl.policies.registry import POLICIES

_WRAPPERS: dict[str, type[Any]] = {"context": ContextPolicy, "observation_moments": NormalisedPolicy}
"""Policies that learners put around others: names of files, not of configs."""
_KEYS = {"name", "settings"}


def policy_to_plain(
    policy: AnyPolicy, names: Mapping[type[Any], str] = MappingProxyType({})
) -> dict[str, Any]:
    """The policy's name, registered or "my_package:MyPolicy", and its settings, sizes among them.

    Args:
        names: of classes that are called otherwise than by what is registered, or by where they are defined.

    Raises:
        ConfigError: the policy, or one that it holds, is no dataclass of plain settings.
    """
    registered = {kind: name for name, kind in {**_WRAPPERS, **POLICIES}.items()}
    return _named(policy, {**registered, **names})


def policy_from_plain(plain: Mapping[str, Any], trust: bool = False) -> AnyPolicy:
    """The policy that `policy_to_plain` described.

    Args:
        trust: import the modules that it names.

    Raises:
        RunError: it names a module and is not trusted, or a policy that is not there, or settings that the
            policy does not take.
    """
    if not trust and (modules := modules_named(plain)):
        raise RunError(
            f"policy.name: expected a registered policy, got {modules[0]!r}, whose module would be imported: "
            "pass trust=True (--trust) if you trust this file"
        )
    found: Policy = _made(plain)
    return found


def modules_named(plain: Any) -> list[str]:
    """The names in a policy's plain data that would import a module, the outermost first."""
    return list(_modules(plain))


def _modules(plain: Any) -> Iterator[str]:
    if isinstance(plain, Mapping):
        if plain.keys() == _KEYS and names_module(plain["name"]):
            yield str(plain["name"])
        for value in plain.values():
            yield from _modules(value)
    elif isinstance(plain, list):
        for value in plain:
            yield from _modules(value)


def _named(value: Any, names: Mapping[type[Any], str]) -> dict[str, Any]:
    kind = type(value)
    if not is_dataclass(kind):
        raise ConfigError(
            f"policy: expected a dataclass, whose settings a policy file can hold, got {kind.__name__}; make "
            "it one with @dataclass(frozen=True)"
        )
    name = names.get(kind, f"{kind.__module__}:{kind.__qualname__}")
    own = [field.name for field in fields(kind) if field.init]
    return {
        "name": name,
        "settings": {key: _plain(f"{name}.{key}", getattr(value, key), names) for key in own},
    }


def _plain(where: str, value: Any, names: Mapping[type[Any], str]) -> Any:
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if isinstance(value, (list, tuple)):
        return [_plain(where, item, names) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(where, item, names) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return _named(value, names)
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
    name, settings = values["name"], values["settings"]
    try:
        kind = find_named("policy", name, {**_WRAPPERS, **POLICIES})
        if not (isinstance(kind, type) and is_dataclass(kind)):
            raise ConfigError(f"policy: expected a dataclass, got {name!r}, which is none")
        return kind(**settings)
    except ConfigError as error:
        raise RunError(
            f"{error}; register the policy (metarl.register_policy), and load the file again"
        ) from error
    except (TypeError, ValueError, AttributeError) as error:
        raise RunError(
            f"policy: expected settings that {name} takes, got {settings!r:.200}: {error}; load it with the "
            "version that wrote it"
        ) from error
