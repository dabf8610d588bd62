"""Values of a config that stand for others: `inner_step_size: auto`, for a size that is found and learned.

A section's dataclass tells them in `spellings`: {key: {value: {other keys: what it stands for}}}.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any


def spell_out(
    values: dict[str, Any], words: list[str], sections: Mapping[str, type[Any]], overridden: Container[str]
) -> list[str]:
    """Puts what a value stands for into the values, in its place; returns the words without such values.

    Args:
        values: as a file holds them, with a mapping's overrides in them.
        words: "--key", its value, and so on, which override the values.
        sections: their dataclasses.
        overridden: the keys that overrides gave a value.

    Raises:
        ValueError: a value, and beside it the contrary of what it stands for.
    """
    for section, kind in sections.items():
        for key, spelled in getattr(kind, "spellings", {}).items():
            option = f"--{section}.{key}"
            given, others = _take(words, option)
            held = values.setdefault(section, {}) if given else values.get(section)
            if isinstance(held, dict):
                value = given[-1] if given else held.get(key)
                known = isinstance(value, str) and value in spelled and len(given) < 2
                if given or known:
                    held.pop(key, None)
                    words = others if known else [*others, option, *given]
                if known:
                    own = option[2:] not in overridden
                    beside = {k: said for k, said in held.items() if own or f"{section}.{k}" in overridden}
                    _check(section, spelled[value], beside, words, f"{option[2:]} {value}")
                    for other, meant in spelled[value].items():
                        held[other] = beside[other] if other in beside else held.get(other) or meant
    return words


def _check(
    section: str, stands_for: Mapping[str, Any], said: Mapping[str, Any], words: list[str], value: str
) -> None:
    """Refuses false or 0, said in the same place or in words, for what a value says is on."""
    for key, meant in stands_for.items():
        given, _ = _take(words, f"--{section}.{key}")
        found = str(given[-1] if given else said.get(key)).lower()
        if found == "false" or _is_zero(found):
            expected = "true" if meant is True else "more than 0"
            raise ValueError(f"{section}.{key}: expected {expected} with {value}, got {found}; leave one out")


def _is_zero(text: str) -> bool:
    try:
        return float(text) == 0
    except ValueError:
        return False


def _take(words: list[str], option: str) -> tuple[list[str], list[str]]:
    """The last values of an option, and the words without it."""
    given: list[str] = []
    others: list[str] = []
    is_option = False
    for word in words:
        if word.startswith("--"):
            is_option = word == option
            given = [] if is_option else given
        if not is_option:
            others.append(word)
        elif word != option:
            given.append(word)
    return given, others
