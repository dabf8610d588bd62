"""Variants of a config: several seeds, and every combination of swept values."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from itertools import product
from typing import TypeAlias

from jsonargparse.typing import NonNegativeInt

from metarl.errors import ConfigError
from metarl.runs.results import task_name

Variant: TypeAlias = dict[str, str]
"""Values by their key, as on the command line: {"meta_learner.inner_step_size": "0.1"}."""
_COMMA = re.compile(r",(?![^\[{]*[\]}])")
"""Outside of brackets."""


def add_sweeps(parser: argparse.ArgumentParser, seeds: int | None = None) -> None:
    """Gives a command its `--seeds` and `--sweep`.

    Args:
        seeds: how many there are without being told; None for the config's own.
    """
    parser.add_argument(
        "--seeds",
        type=NonNegativeInt,
        nargs="+",
        metavar="SEED",
        default=None if seeds is None else [seeds],
        help=f"several seeds, or one number, how many: 1, 2, ... ({seeds or 'the one of the config'})",
    )
    parser.add_argument(
        "--sweep",
        action="append",
        default=[],
        metavar="KEY=A,B,...",
        help="a key of the config and its values; may be given again, for every combination",
    )


def read_seeds(given: Sequence[int]) -> list[int]:
    """The seeds of `--seeds`: one number N stands for 1, ..., N.

    Raises:
        ConfigError: none, or one twice.
    """
    seeds = list(range(1, given[0] + 1)) if len(given) == 1 else list(given)
    if not seeds or len(set(seeds)) < len(seeds):
        raise ConfigError(f"--seeds: expected different seeds, or how many, got {' '.join(map(str, given))}")
    return seeds


def read_sweeps(given: Sequence[str]) -> list[Variant]:
    """Every combination of the values of `--sweep`, the last key's changing first; without any, an empty one.

    Raises:
        ConfigError: no key with values, or a key or value twice.
    """
    swept: dict[str, list[str]] = {}
    for text in given:
        key, _, values = text.partition("=")
        found = _COMMA.split(values)
        if not key or not all(found) or key in swept or len(set(found)) < len(found):
            raise ConfigError(f"--sweep: expected KEY=A,B,... of different keys and values, got {text}")
        swept[key] = found
    return [dict(zip(swept, values, strict=True)) for values in product(*swept.values())]


def variant_name(variant: Mapping[str, object]) -> str:
    """The variant as the name of a folder, "inner_step_size=0.1_seed=2"; keys stay whole if two end alike."""
    ends = [key.rpartition(".")[2] for key in variant]
    short = ends if len(set(ends)) == len(ends) else list(variant)
    return task_name({name: str(value) for name, value in zip(short, variant.values(), strict=True)})


def variant_words(variant: Mapping[str, object]) -> list[str]:
    """The variant as overrides of the command line."""
    return [f"--{key}={value}" for key, value in variant.items()]
