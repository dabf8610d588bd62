"""YAML of plain data: no object is made from it, and numbers such as 1e-3 are numbers, as in YAML 1.2."""

from __future__ import annotations

import json
import re
from pathlib import PurePath
from typing import Any

import yaml

_FLOAT = re.compile(r"[-+]?(\d[\d_]*\.?|\.\d)[\d_]*[eE][-+]?\d+")


class _Loader(yaml.SafeLoader):
    pass


class _Dumper(yaml.SafeDumper):
    """Quotes the strings that would be read as numbers."""


for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(f"^(?:{_FLOAT.pattern})$"), list("-+.0123456789")
    )


def load_yaml(text: str) -> Any:
    """The data of a YAML text.

    Raises:
        yaml.YAMLError: it is none, asks for other objects than plain data, or holds itself.
    """
    data = yaml.load(text, Loader=_Loader)
    try:
        json.dumps(data, default=repr, skipkeys=True)
    except ValueError as error:
        raise yaml.YAMLError("expected plain data, got data that hold themselves (an alias)") from error
    return data


def dump_yaml(data: Any) -> str:
    """The text from which `load_yaml` reads the same data."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False)


def as_plain(value: Any) -> Any:
    """Tuples as lists, paths as text and restricted numbers as numbers, for YAML; mappings and lists anew."""
    if isinstance(value, dict):
        return {key: as_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_plain(item) for item in value]
    if isinstance(value, PurePath):
        return str(value)
    for number in (bool, int, float):
        if isinstance(value, number):
            return number(value)
    return value
