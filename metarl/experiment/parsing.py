"""From what a config holds to the dataclasses of its sections."""

from __future__ import annotations

import copy
import math
import os
import pickle
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser, set_loader
from jsonargparse.typing import NonNegativeInt

from metarl.experiment.config_sections import (
    apply_words,
    check_values,
    join_free,
    key_types,
    make_section,
    split_free,
    whole_numbers,
)
from metarl.experiment.plain_yaml import load_yaml

_LARGEST = 2**63 - 1
_MODE = "metarl"
set_loader(_MODE, load_yaml, (yaml.YAMLError,))


def parse_sections(
    values: dict[str, Any], words: list[str], sections: Mapping[str, type[Any]]
) -> dict[str, Any]:
    """The dataclass of every section by its name, and `seed` and `run_dir`.

    Args:
        values: as a file holds them, without the names of a policy and a meta-learner.
        words: "--key", its value, and so on, which override them.
        sections: the dataclasses.

    Raises:
        ArgumentError, TypeError, ValueError: a key that is unknown, ill-typed or impossible.
    """
    types = key_types({"seed": NonNegativeInt, **sections, "run_dir": str})
    check_values(values, types)
    values = whole_numbers(values, types)
    words_of = _by_section(apply_words(values, words, types), sections)
    typed, free = split_free(values, types)
    parsed: dict[str, Any] = {}
    kind: Any
    for name, kind in sections.items():
        given = {name: typed.pop(name)} if name in typed else {}
        parsed |= copy.deepcopy(_parsed(name, kind, pickle.dumps(given), tuple(words_of[name])))
    parsed |= _parsed("", None, pickle.dumps(typed), tuple(words_of[""]))
    join_free(parsed, free)
    made = {name: make_section(kind, parsed[name]) for name, kind in sections.items()}
    return {"seed": parsed["seed"], **made, "run_dir": _folder(parsed["run_dir"])}


def check_plain(section: Mapping[Any, Any], prefix: str = "") -> None:
    """Checks that values are what a file can hold: text, booleans, nulls, finite numbers of at most 64 bits.

    Raises:
        ValueError: some are not; the message names their key.
    """
    for key, value in section.items():
        _check_one(f"{prefix}{key}", value)


def check_keys(section: Mapping[Any, Any], prefix: str = "config.") -> None:
    """Checks that keys are text, at every depth.

    Raises:
        ValueError: one is not.
    """
    for key, value in section.items():
        if not isinstance(key, str) or not _is_text(key):
            raise ValueError(f"{prefix[:-1]}: expected keys that are text, got {key!r}")
        if isinstance(value, Mapping):
            check_keys(value, f"{prefix}{key}.")


def _check_one(key: str, value: Any) -> None:
    if isinstance(value, Mapping):
        check_plain(value, f"{key}.")
    elif isinstance(value, (list, tuple)):
        for at, item in enumerate(value):
            _check_one(f"{key}.{at}", item)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{key}: expected a finite number, got {value}")
    elif isinstance(value, int):
        if not -_LARGEST <= value <= _LARGEST:
            raise ValueError(
                f"{key}: expected an integer of at most 64 bits, got one of {value.bit_length()}"
            )
    elif not (value is None or isinstance(value, str)):
        raise ValueError(f"{key}: expected text, a number, a list or a mapping, got a {type(value).__name__}")
    elif isinstance(value, str) and not _is_text(value):
        raise ValueError(f"{key}: expected text that a file can hold, got {value!r}")


def _is_text(value: str) -> bool:
    """Whether it can be written: half of a surrogate pair cannot."""
    return value.isascii() or not any("\ud800" <= one <= "\udfff" for one in value)


def _folder(run_dir: str) -> str:
    """The folder's path, with the user's home for "~".

    Raises:
        ValueError: it is no name of a folder, or the root of all.
    """
    if not run_dir.strip() or not run_dir.isprintable() or os.path.realpath(run_dir) == "/":
        raise ValueError(f"run_dir: expected the path of a folder of its own, got {run_dir!r}")
    try:
        return str(Path(run_dir).expanduser())
    except RuntimeError as error:
        raise ValueError(f"run_dir: expected the path of a folder, got {run_dir!r}: {error}") from error


def _by_section(words: list[str], sections: Mapping[str, Any]) -> dict[str, list[str]]:
    """The words of every section, and those of none by the name ""."""
    found: dict[str, list[str]] = {name: [] for name in (*sections, "")}
    name = ""
    for word in words:
        if word.startswith("--"):
            section = word[2:].partition(".")[0]
            name = section if section in sections else ""
        found[name].append(word)
    return found


@lru_cache(maxsize=512)
def _parsed(name: str, kind: Any, values: bytes, words: tuple[str, ...]) -> dict[str, Any]:
    """What a section holds, checked by the types of its dataclass; of no name, `seed` and `run_dir`.

    jsonargparse takes a tenth of a second for all of a config, and most sections are read more than once.

    Args:
        values: pickled plain data.
    """
    parser = _parser(name, kind)
    namespace = parser.parse_object(pickle.loads(values), defaults=True)
    parsed: dict[str, Any] = parser.parse_args([*words], namespace=namespace).as_dict()
    return parsed


@lru_cache(maxsize=128)
def _parser(name: str, kind: Any) -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False, add_help=False, allow_abbrev=False, parser_mode=_MODE)
    if kind is None:
        parser.add_argument("--seed", type=NonNegativeInt, default=0)
        parser.add_argument("--run_dir", type=str, required=True)
    else:
        parser.add_class_arguments(kind, name)
    return parser
