"""Shipped configs with something wrong in them: in the file, in a word of the command line, in a mapping."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

from metarl.experiment.plain_yaml import dump_yaml, load_yaml
from metarl.experiment.shipped import CONFIGS, shipped_configs
from tests.support.wrong_values import OBJECTS, WORDS, YAML

_PLACE = "a_place_for_something_wrong"
_OTHER_KEYS = (
    "other",
    "name",
    "",
    "1",
    "null",
    "class_path",
    "init_args",
    "__class__",
    "a.b",
    "seed",
    "config",
)


class Mutant(NamedTuple):
    """A config's text and what overrides it: words, or a mapping."""

    text: str
    overrides: list[str] | dict[str, Any]


def mutants(seed: int, number: int) -> Iterator[Mutant]:
    """So many, which follow from the seed: in turn of the file, the words, the mapping and the text."""
    rng, names = random.Random(seed), shipped_configs()
    for index in range(number):
        values = load_yaml((CONFIGS / f"{rng.choice(names)}.yaml").read_text())
        yield (_file, _words, _mapping, _text)[index % 4](values, rng)


def _file(values: dict[str, Any], rng: random.Random) -> Mutant:
    wrong = [rng.choice(YAML) for _ in range(rng.choice((1, 1, 1, 2)))]
    for at in range(len(wrong)):
        _put(values, rng.choice(list(_keys(values))), f"{_PLACE}{at}", rng)
    text = dump_yaml(values)
    for at, one in enumerate(wrong):
        text = text.replace(f"{_PLACE}{at}", one)
    return Mutant(text, [])


def _words(values: dict[str, Any], rng: random.Random) -> Mutant:
    words: list[str] = []
    for _ in range(rng.choice((1, 1, 2))):
        key, word = ".".join(rng.choice(list(_keys(values)))), rng.choice(WORDS)
        key = rng.choice((key, key, key, f"{key}.{rng.choice(_OTHER_KEYS)}", rng.choice(_OTHER_KEYS)))
        words += rng.choice(([f"--{key}", word], [f"--{key}={word}"], [f"--{key}"], [f"--{key}", word, word]))
    return Mutant(dump_yaml(values), words)


def _mapping(values: dict[str, Any], rng: random.Random) -> Mutant:
    key = ".".join(rng.choice(list(_keys(values))))
    if rng.random() < 0.2:
        key = f"{key}.{rng.choice(_OTHER_KEYS)}"
    return Mutant(dump_yaml(values), {key: rng.choice(OBJECTS)})


def _text(values: dict[str, Any], rng: random.Random) -> Mutant:
    """Lines doubled, moved and taken out, characters changed."""
    lines = yaml.safe_dump(values).splitlines()
    for _ in range(rng.randint(1, 3)):
        at, to = rng.randrange(len(lines)), rng.randrange(len(lines))
        change = rng.randrange(5)
        if change == 0:
            lines.insert(to, lines[at])
        elif change == 1 and len(lines) > 1:
            del lines[at]
        elif change == 2:
            lines[at] = " " * rng.randint(1, 4) + lines[at]
        else:
            column = rng.randrange(len(lines[at]) + 1)
            lines[at] = (
                lines[at][:column] + rng.choice("{}[]&*!|>'\"%@`#:,-?\n\t\0 a9.é") + lines[at][column + 1 :]
            )
    return Mutant("\n".join(lines), [])


def _put(values: dict[str, Any], path: list[str], value: Any, rng: random.Random) -> None:
    for part in path[:-1]:
        values = values.setdefault(part, {})
        if not isinstance(values, dict):
            return
    kind = rng.randrange(8)
    if kind == 0:
        values[rng.choice(_OTHER_KEYS)] = value
    elif kind == 1:
        values[value] = values.pop(path[-1], 1)
    else:
        values[path[-1]] = value


def _keys(values: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[list[str]]:
    """The paths of all values, and of the sections that they are in."""
    for key, value in values.items():
        yield [*path, key]
        if isinstance(value, dict):
            yield from _keys(value, (*path, key))
