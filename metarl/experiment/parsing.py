"""From what a config holds to the dataclasses of its sections."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser
from jsonargparse.typing import NonNegativeInt

from metarl.experiment.config_sections import (
    apply_words,
    check_values,
    join_free,
    key_types,
    make_section,
    split_free,
)

_LARGEST = 2**63 - 1


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
    typed_words = apply_words(values, words, types)
    typed, free = split_free(values, types)
    parser = _parser(sections)
    parsed = parser.parse_args(typed_words, namespace=parser.parse_object(typed, defaults=True)).as_dict()
    join_free(parsed, free)
    made = {name: make_section(kind, parsed[name]) for name, kind in sections.items()}
    return {"seed": parsed["seed"], **made, "run_dir": _folder(parsed["run_dir"])}


def check_numbers(section: Mapping[str, Any], prefix: str = "") -> None:
    """Checks that numbers are finite and integers have at most 64 bits, at every depth.

    Raises:
        ValueError: one is not; the message names its key.
    """
    for key, value in section.items():
        if isinstance(value, Mapping):
            check_numbers(value, f"{prefix}{key}.")
        elif isinstance(value, (list, tuple)):
            check_numbers({str(i): item for i, item in enumerate(value)}, f"{prefix}{key}.")
        elif isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{prefix}{key}: expected a finite number, got {value}")
        elif isinstance(value, int) and not -_LARGEST <= value <= _LARGEST:
            bits = value.bit_length()
            raise ValueError(f"{prefix}{key}: expected an integer of at most 64 bits, got one of {bits}")


def _folder(run_dir: str) -> str:
    """The folder's path, with the user's home for "~".

    Raises:
        ValueError: it is no name of a folder, or the root of all.
    """
    if not run_dir.strip() or not run_dir.isprintable() or Path(run_dir).resolve() == Path("/"):
        raise ValueError(f"run_dir: expected the path of a folder of its own, got {run_dir!r}")
    try:
        return str(Path(run_dir).expanduser())
    except RuntimeError as error:
        raise ValueError(f"run_dir: expected the path of a folder, got {run_dir!r}: {error}") from error


def _parser(sections: Mapping[str, type[Any]]) -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False, add_help=False, allow_abbrev=False)
    parser.add_argument("--seed", type=NonNegativeInt, default=0)
    for name, section in sections.items():
        parser.add_class_arguments(section, name)
    parser.add_argument("--run_dir", type=str, required=True)
    return parser
