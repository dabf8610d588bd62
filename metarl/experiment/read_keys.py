"""Which keys of a config are read, as its settings declare: a key that is given is never without effect.

A settings class may declare, its bases' declarations being its own:

- `read_with = {"trust_region": {"outer": ("trpo",)}}`: keys of its own that are read with some values of
  another one alone; a key with a dot is one of another section, and the values are
  a tuple or another container, whose text tells them;
- `unread = ("sampling.advantages",)`: keys of other sections that nothing reads with it.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from typing import Any

Unread = dict[str, str]
"""Dotted keys that nothing reads, and the setting with which nothing does: "meta_learner.outer ppo"."""
Conditions = dict[str, dict[str, Container[Any]]]
"""Key -> another key -> its values with which the first is read."""


def conditions(kind: type[Any]) -> Conditions:
    """What a settings class and its bases declare in `read_with`."""
    found: Conditions = {}
    for base in reversed(kind.__mro__):
        found |= vars(base).get("read_with", {})
    return found


def unread_in(settings: Any, prefix: str) -> Unread:
    """The keys that a dataclass of settings, with the values it has, does not read.

    Args:
        prefix: of its keys, "meta_learner.".
    """
    found: Unread = {}
    for key, condition in conditions(type(settings)).items():
        for other, values in condition.items():
            if (value := getattr(settings, other)) not in values:
                found[key if "." in key else prefix + key] = f"{prefix}{other} {as_word(value)}"
    for field in fields(settings):
        value, key = getattr(settings, field.name), prefix + field.name
        if is_dataclass(value) and key not in found:
            found |= unread_in(value, f"{key}.")
    return found


def check_given(given: Collection[str], unread: Unread) -> None:
    """Refuses keys that were given and that nothing reads.

    Raises:
        ValueError: there is one; the message names it and why nothing reads it.
    """
    for key in given:
        for one, reason in unread.items():
            if is_within(key, one):
                raise ValueError(f"{key}: expected none with {reason}, which does not read it; leave it out")


def unread_by_itself(unread: Unread, chosen: Collection[str]) -> Unread:
    """Without what a chosen key leaves unread: overrides of a file cannot take out what it says."""
    return {key: reason for key, reason in unread.items() if reason.partition(" ")[0] not in chosen}


def given_keys(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The dotted keys of all values in sections."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from given_keys(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def with_defaults(settings: Any, unread: Unread, prefix: str) -> Any:
    """The dataclass with the defaults of what nothing reads, so that equal settings are equal."""
    changed = {}
    for field in fields(settings):
        value, key = getattr(settings, field.name), prefix + field.name
        if key in unread:
            changed[field.name] = default_of(field)
        elif is_dataclass(value):
            changed[field.name] = with_defaults(value, unread, f"{key}.")
    return replace(settings, **changed)


def without(sections: Mapping[str, Any], unread: Unread, prefix: str = "") -> dict[str, Any]:
    """Mappings of sections without the keys that nothing reads."""
    return {
        key: without(value, unread, f"{prefix}{key}.") if isinstance(value, dict) else value
        for key, value in sections.items()
        if f"{prefix}{key}" not in unread
    }


def default_of(field: Field[Any]) -> Any:
    """A field's default; `dataclasses.MISSING` of one that is required."""
    return field.default_factory() if field.default_factory is not MISSING else field.default


def is_within(key: str, section: str) -> bool:
    """Whether a dotted key is another one, or in that section."""
    return f"{key}.".startswith(f"{section}.")


def as_word(value: Any) -> str:
    """A value as it stands in a config."""
    if value == "":
        return '""'
    return str(value).lower() if isinstance(value, bool) else str(value)
