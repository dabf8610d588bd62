"""What may stand in a config: sections of known keys, at every depth, and mappings of free keys.

Values are checked here before jsonargparse sees them: where it expects a section it would import a class or
read a file that a string names, and where it expects anything it would make an object of a `class_path`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import yaml

from metarl.errors import one_line
from metarl.experiment.config_messages import EXPECTATIONS, unknown_key
from metarl.experiment.plain_yaml import is_number_with_exponent, load_yaml

Types = dict[str, Any]
"""The type of every key by its dotted name; a dataclass of a section."""
_NULLS = ("null", "Null", "NULL", "~")


def field_types(kind: Any) -> dict[str, Any]:
    """The types of a dataclass's fields, by name."""
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def key_types(sections: Mapping[str, Any], prefix: str = "") -> Types:
    """The types of all keys, those of sections among them, in their order."""
    types: Types = {}
    for name, kind in sections.items():
        types[prefix + name] = kind
        if is_dataclass(kind):
            types |= key_types(field_types(kind), f"{prefix}{name}.")
    return types


def check_values(values: Mapping[Any, Any], types: Types, prefix: str = "") -> None:
    """Checks that a mapping holds known keys, sections where sections should be, and no null for a value.

    Raises:
        ValueError: it does not; the message names the key, what was expected and what was found.
    """
    for name, value in values.items():
        key = f"{prefix}{name}"
        if key not in types or "." in str(name):
            raise ValueError(unknown_key(key, set(types)))
        kind = types[key]
        if is_dataclass(kind):
            if not isinstance(value, dict):
                raise ValueError(f"{key}: expected a section of keys, got {value!r}")
            check_values(value, types, f"{key}.")
        elif _is_wrong(value, kind):
            raise ValueError(f"{key}: expected {_expectation(kind)}, got {value!r}")


def apply_words(values: dict[str, Any], words: Sequence[str], types: Types) -> list[str]:
    """Puts the overrides of free keys into the values; returns the words of the other keys, checked.

    Args:
        words: "--key", its value, and so on.

    Raises:
        ValueError: an unknown key, a section or null for a value; the message names the key.
    """
    groups: list[list[str]] = []
    for word in words:
        if word.startswith("--") or not groups:
            groups.append([])
        groups[-1].append(word)
    left, free = [], _free_keys(types)
    for option, *given in groups:
        key = option.removeprefix("--")
        if any(f"{key}.".startswith(f"{one}.") for one in free):
            _set_free(values, key, given, types)
            continue
        if option.startswith("--"):
            _check_word(key, given, types)
        left += [option, *(_written_out(word) if _is_whole(types.get(key)) else word for word in given)]
    return left


def whole_numbers(values: Mapping[str, Any], types: Types, prefix: str = "") -> dict[str, Any]:
    """The values, with integers for floats such as 4e6 where integers are asked for."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        key, whole = f"{prefix}{name}", isinstance(value, float) and value.is_integer()
        if isinstance(value, dict) and is_dataclass(types[key]):
            found[name] = whole_numbers(value, types, f"{key}.")
        else:
            found[name] = int(value) if whole and _is_whole(types[key]) else value
    return found


def _is_whole(kind: Any) -> bool:
    """Whether a key takes integers, and no other numbers."""
    kinds = [one for one in get_args(kind) or (kind,) if isinstance(one, type)]
    return any(issubclass(one, int) for one in kinds) and not any(
        issubclass(one, float) or one is bool for one in kinds
    )


def _written_out(word: str) -> str:
    """The digits of a whole number with an exponent, "4000000" of "4e6"; other words as they are."""
    value = load_yaml(word) if is_number_with_exponent(word) else None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else word


def split_free(values: dict[str, Any], types: Types) -> tuple[dict[str, Any], dict[str, Any]]:
    """The values without those of free keys, and those by their dotted names, for no parser to look into."""
    typed, free = copy.deepcopy(values), {}
    for key in _free_keys(types):
        section, _, own = key.rpartition(".")
        holder = _section(typed, section)
        if own in holder:
            free[key] = holder.pop(own)
    return typed, free


def join_free(values: dict[str, Any], free: Mapping[str, Any]) -> None:
    """Puts the values of free keys into the others."""
    for key, value in free.items():
        section, _, own = key.rpartition(".")
        _section(values, section)[own] = value


def make_section(kind: type[Any], values: Mapping[str, Any]) -> Any:
    """The dataclass of a section, with those of the sections in it."""
    types = get_type_hints(kind)
    return kind(
        **{
            name: make_section(types[name], value) if is_dataclass(types[name]) else value
            for name, value in values.items()
        }
    )


def _free_keys(types: Types) -> list[str]:
    """The keys that take any data: options of an environment, settings of an algorithm."""
    return [key for key, kind in types.items() if kind is Any or Any in get_args(kind)]


def _section(values: dict[str, Any], name: str) -> dict[str, Any]:
    for part in name.split("."):
        values = values.setdefault(part, {})
    return values


def _check_word(key: str, given: Sequence[str], types: Types) -> None:
    if key not in types:
        raise ValueError(unknown_key(key, set(types)))
    kind = types[key]
    found = repr(given[0]) if given else "none"
    if is_dataclass(kind):
        raise ValueError(f"{key}: expected a section of keys, got {found}")
    if given and given[0] in _NULLS and _is_wrong(None, kind):
        raise ValueError(f"{key}: expected {_expectation(kind)}, got {found}")
    if given and "&" in given[0] and "*" in given[0]:
        _check_aliases(key, given[0])


def _check_aliases(key: str, word: str) -> None:
    """Refuses what is no text for `load_yaml` because its aliases grow: jsonargparse would write it out."""
    try:
        load_yaml(word)
    except yaml.YAMLError as error:
        raise ValueError(f"{key}: {one_line(error)}, got {word[:40]!r}...") from error


def _set_free(values: dict[str, Any], key: str, given: Sequence[str], types: Types) -> None:
    """Sets a free key, or a key in it, to the data of its word."""
    if len(given) != 1:
        raise ValueError(f"{key}: expected one value, got {list(given)}")
    try:
        data = load_yaml(given[0])
    except yaml.YAMLError:
        data = given[0]
    if key in types and _is_wrong(data, types[key]):
        raise ValueError(f"{key}: expected {_expectation(types[key])}, got {given[0]!r}")
    *path, name = key.split(".")
    section = values
    for part in path:
        section = section.setdefault(part, {})
        if not isinstance(section, dict):
            raise ValueError(f"{key}: expected a mapping that holds it, got {section!r}")
    section[name] = data


def _is_wrong(value: Any, kind: Any) -> bool:
    """Whether a value is a null that its key does not take, or no mapping where free keys are expected."""
    if get_origin(kind) is dict:
        return not isinstance(value, dict)
    return value is None and kind is not Any and NoneType not in get_args(kind)


def _expectation(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return f"one of {list(get_args(kind))}"
    name = (get_origin(kind) or kind).__name__
    return EXPECTATIONS.get(name, f"a value of type {name}")
