"""What is wrong with a config, as one line: the key, what was expected, what was found."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from itertools import pairwise
from typing import Any

EXPECTATIONS = {
    "PositiveInt": "an integer > 0",
    "NonNegativeInt": "an integer >= 0",
    "PositiveFloat": "a number > 0",
    "NonNegativeFloat": "a number >= 0",
    "ClosedUnitInterval": "a number in [0, 1]",
    "OpenUnitInterval": "a number in (0, 1)",
}


def explain(message: str, values: dict[str, Any], words: list[str]) -> str:
    """jsonargparse's message as: key, what was expected, what was found."""
    if ill_typed := re.match(r'Parser key "([^"]+)": (.*)', message):
        key, detail = ill_typed.groups()
        if restricted := re.match(r"Not of type (\w+):", detail):
            expected = EXPECTATIONS.get(restricted[1], restricted[1])
        elif plain := re.match(r"Expected an? (.+?)\. Got value:", detail):
            expected = re.sub(r"typing\.Literal|<class '(\w+)'>", r"\1", plain[1])
            expected = f"one of {expected}" if expected[0] == "[" else f"a value of type {expected}"
        elif optional := re.match(r"Does not validate against any of the Union.*Not of type (\w+):", detail):
            expected = f"{EXPECTATIONS.get(optional[1], optional[1])} or null"
        else:
            return f"{key}: {detail}"
        return f"{key}: expected {expected}, got {_found(key, values, words)!r}"
    if stray := re.match(r"unrecognized arguments:(.*)", message):
        return f"expected overrides such as --seed 3, got {stray[1].strip()!r}"
    return message


def with_place(message: str, source: str, chosen: Collection[str]) -> str:
    """A message with the config it is about; without, where its key was given over the config's.

    Args:
        message: as `explain` gives it.
        source: of the config.
        chosen: the keys that were given over the config's.
    """
    return message if message.partition(":")[0] in chosen else f"{source}: {message}"


def _found(key: str, values: dict[str, Any], words: list[str]) -> Any:
    """The value that the key was given, last on the command line or in the file."""
    if given := [value for word, value in pairwise(words) if word == f"--{key}"]:
        return given[-1]
    found: Any = values
    for part in key.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def unknown_key(key: str, known: set[str]) -> str:
    """That a key is none of its section's, or of the nearest section that there is."""
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    parent = key.rpartition(".")[0]
    while parent and parent not in known:
        parent = parent.rpartition(".")[0]
    siblings = sorted(name for name in known if name.rpartition(".")[0] == parent)
    return f"{key}: no such key; {hint}expected one of the keys {siblings}"
