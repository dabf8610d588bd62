"""What the keys of a config are, a line each: from the docstrings of the dataclasses that hold them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from metarl.experiment.kinds import Kind
from metarl.experiment.read_keys import as_word, conditions, default_of, is_within
from metarl.experiment.sections import PolicyConfig
from metarl.meta_learners.registry import META_LEARNERS
from metarl.policies.registry import POLICIES, find_policy
from metarl.supervised.names import NAMES

COMMON = (
    "environment.id",
    "environment.horizon",
    "environment.options",
    "sampling.tasks",
    "sampling.episodes",
    "meta_learner.name",
    "meta_learner.inner_step_size",
    "meta_learner.inner_steps",
    "from_scratch.algorithm",
    "from_scratch.environment_steps",
    "from_scratch.settings",
    "policy.name",
    "policy.hidden_sizes",
    "data.name",
    "network.name",
    "learner.name",
    "training.iterations",
    "training.evaluate_every",
    "training.device",
    "seed",
    "run_dir",
)
"""Keys that come first, where a config has them."""
_KINDS = {"int": "INT", "float": "NUMBER", "str": "TEXT", "bool": "true|false", "dict": "MAPPING"}


class Key(NamedTuple):
    """A key: its dotted name, what it takes, what it is, its default, and with what it is read."""

    name: str
    kind: str
    text: str
    default: str = ""
    when: str = ""


def explain_keys(kind: Kind, given: Mapping[str, Any] | None = None) -> str:
    """A line a key that something reads, common ones first, with its value or default.

    Args:
        kind: of the config.
        given: the config's values, as `as_dict` gives them; None for defaults.
    """
    unread = [key for key in _all_keys(kind) if any(is_within(key.name, one) for one in kind.unread)]
    keys = {key.name: key for key in _all_keys(kind) if key not in unread}
    first = [keys.pop(name) for name in COMMON if name in keys]
    groups = {"common": first}
    for key in keys.values():
        groups.setdefault(key.name.partition(".")[0], []).append(key)
    return "\n\n".join(
        f"{name}:\n" + "\n".join(_line(key, _value(given or {}, key)) for key in group)
        for name, group in groups.items()
    )


def _value(given: Mapping[str, Any], key: Key) -> str:
    """Its value in a config; its default where that says nothing of it."""
    found: Any = given
    for name in key.name.split("."):
        if not isinstance(found, Mapping) or name not in found:
            return key.default
        found = found[name]
    return as_text(found)


def field_texts(kind: type[Any]) -> dict[str, str]:
    """The first sentence on every field under `Args:` in the docstrings of a class and its bases."""
    texts: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        section = re.search(r"^Args:\n((?: +.*\n?)+)", inspect.cleandoc(base.__doc__ or ""), re.MULTILINE)
        for names, text in re.findall(r"^    (\w[\w, ]*): ((?:.*\n?)(?: {5,}.*\n?)*)", *_in(section)):
            sentence = re.split(r"(?<!e\.g)\.(?:\s|$)", " ".join(text.split()))[0]
            texts |= dict.fromkeys(names.split(", "), sentence)
    return texts


def _in(section: re.Match[str] | None) -> tuple[str, re.RegexFlag]:
    return (section[1] if section else ""), re.MULTILINE


def _all_keys(kind: Kind) -> Iterator[Key]:
    yield Key("seed", "INT", "determines all randomness", "0")
    for name, section in kind.sections.items():
        if name == "meta_learner":
            yield Key(f"{name}.name", "NAME", f"one of {_listed(META_LEARNERS)}, or my_package:my_learner")
        if kind.supervised is not None and name in kind.supervised:
            yield Key(f"{name}.name", "NAME", f"one of {_listed(NAMES[name])}, or my_package:my_function")
        texts = field_texts(section)
        if name == "policy" and kind.policy is not None:
            policies = f"one of {_listed(POLICIES)}, or my_package:MyPolicy"
            yield Key(f"{name}.name", "NAME", policies, kind.policy)
            texts = field_texts(find_policy(kind.policy)) | field_texts(PolicyConfig)
        yield from _keys(section, f"{name}.", texts)
    yield Key("run_dir", "FOLDER", "folder of the run: config, policy, checkpoint and logs")


def _keys(kind: type[Any], prefix: str, texts: Mapping[str, str], when: str = "") -> Iterator[Key]:
    """Args:
    when: what all keys are read with: "; with outer trpo".
    """
    hints, read_with = get_type_hints(kind), conditions(kind)
    for own in fields(kind):
        hint, only = hints[own.name], when + _when(read_with.get(own.name, {}))
        if is_dataclass(hint):
            assert isinstance(hint, type)
            yield from _keys(hint, f"{prefix}{own.name}.", field_texts(hint), only)
        else:
            yield Key(
                f"{prefix}{own.name}", _kind(hint), texts.get(own.name, ""), as_text(default_of(own)), only
            )


def _when(condition: Mapping[str, Container[Any]]) -> str:
    """The values of other keys with which one is read."""
    return "".join(f"; with {key} {_either(values)}" for key, values in condition.items())


def _either(values: Container[Any]) -> str:
    return " or ".join(map(as_word, values)) if isinstance(values, tuple) else str(values)


def as_text(value: Any) -> str:
    """A value as it stands in a config; "required" for none."""
    if value is MISSING:
        return "required"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {as_text(one)}" for key, one in value.items()) + "}"
    return str(list(value)) if isinstance(value, tuple | list) else str(value) or '""'


def _kind(hint: Any) -> str:
    """What a type takes, in capitals, or the values themselves."""
    origin, arguments = (
        get_origin(hint),
        [part for part in get_args(hint) if part not in (NoneType, Ellipsis)],
    )
    if origin is Literal:
        return "|".join(map(str, arguments))
    if origin in (tuple, list):
        return f"[{_kind(arguments[0])},...]"
    if arguments and origin is not dict:
        return f"{_kind(arguments[0])}|null"
    for base in getattr(origin or hint, "__mro__", ()):
        if base.__name__ in _KINDS:
            return _KINDS[base.__name__]
    return "VALUE"


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(sorted(names))


def _line(key: Key, value: str) -> str:
    told = f"{value}{key.when}"
    return f"  {f'--{key.name} {key.kind}':<48}  {key.text}" + (f" ({told})" if told else "")
