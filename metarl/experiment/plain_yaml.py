"""YAML of plain data: no object is made from it, and numbers such as 1e-3 are numbers, as in YAML 1.2."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import PurePath
from typing import Any

import yaml

DEEPEST, _MOST, _LONGEST = 50, 100_000, 100_000
"""Levels of data within data, values, those that an alias repeats counted as often, and characters."""
_FLOAT = re.compile(r"[-+]?(\d[\d_]*\.?|\.\d)[\d_]*[eE][-+]?\d+")


_TAG = "tag:yaml.org,2002:"
_PLAIN = {f"{_TAG}{name}" for name in ("null", "bool", "int", "float", "str", "seq", "map", "merge")}


class _Loader(yaml.SafeLoader):
    """Makes nothing but plain data; dates are text, as in YAML 1.2."""

    yaml_constructors = {  # noqa: RUF012
        tag: make for tag, make in yaml.SafeLoader.yaml_constructors.items() if tag is None or tag in _PLAIN
    }
    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in resolvers if tag in _PLAIN]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


class _Dumper(yaml.SafeDumper):
    """Quotes the strings that would be read as numbers."""


for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver(f"{_TAG}float", re.compile(f"^(?:{_FLOAT.pattern})$"), list("-+.0123456789"))


def load_yaml(text: str) -> Any:
    """The data of a YAML text.

    Raises:
        yaml.YAMLError: it is none, asks for other objects than plain data, gives a key twice, or holds more
            than a config could: itself, thousands of levels, an alias of aliases, or too much text.
    """
    if len(text) > _LONGEST:
        raise yaml.YAMLError(f"expected at most {_LONGEST:,} characters, got {len(text):,}")
    return copy.deepcopy(_load(text))


@lru_cache(maxsize=128)
def _load(text: str) -> Any:
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _check_bounds(node)
        return loader.construct_document(node)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise yaml.YAMLError(f"expected plain data, got {type(error).__name__}: {error}") from error


def is_number_with_exponent(text: str) -> bool:
    """Whether a text is such as 4e6 or 1.5e-3."""
    return _FLOAT.fullmatch(text) is not None


def dump_yaml(data: Any) -> str:
    """The text from which `load_yaml` reads the same data."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False)


def as_plain(value: Any, depth: int = 0) -> Any:
    """Tuples as lists, paths as text and restricted numbers as numbers, for YAML; mappings and lists anew.

    Raises:
        ValueError: data of too many levels, as those that hold themselves.
    """
    if depth > DEEPEST:
        raise ValueError(f"expected at most {DEEPEST} levels of data, got more, or data that hold themselves")
    if isinstance(value, Mapping):
        return {key: as_plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_plain(item, depth + 1) for item in value]
    if isinstance(value, PurePath):
        return str(value)
    for number in (bool, int, float):
        if isinstance(value, number):
            return number(value)
    return value


def _check_bounds(root: yaml.Node) -> None:
    """Raises YAMLError of a key that is given twice, and of data beyond bounds."""
    for number, node in enumerate(_nodes(root, 0)):
        if number > _MOST:
            raise yaml.YAMLError(f"expected at most {_MOST:,} values, got more (an alias of aliases?)")
        if isinstance(node, yaml.MappingNode):
            keys = [(key.tag, key.value) for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            found: set[tuple[str, str]] = set()
            for key in keys:
                if key in found:
                    raise yaml.YAMLError(f"{key[1]}: expected this key once, got it twice")
                found.add(key)


def _nodes(node: yaml.Node, depth: int) -> Iterator[yaml.Node]:
    if depth > DEEPEST:
        raise yaml.YAMLError(
            f"expected at most {DEEPEST} levels of data, got more, or data that hold themselves"
        )
    yield node
    children = node.value if isinstance(node, yaml.CollectionNode) else ()
    for child in children:
        for one in child if isinstance(child, tuple) else (child,):
            yield from _nodes(one, depth + 1)
