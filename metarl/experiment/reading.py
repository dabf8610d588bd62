"""Where a config comes from: a file, the name of a shipped one, or a mapping; and what overrides it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from metarl_envs.arguments import told

from metarl.errors import ConfigError, one_line
from metarl.experiment.plain_yaml import as_plain, load_yaml
from metarl.experiment.read_keys import given_keys
from metarl.experiment.shipped import find_config

Source = str | Path | Mapping[str, Any]
"""A file, the name of a shipped config, or a mapping as a file holds it."""
Overrides = Mapping[str, Any] | Sequence[str]
"""{"training.iterations": 3}, or ["--training.iterations", "3"]."""


def read_values(source: Source) -> tuple[dict[str, Any], str]:
    """What a config holds, in mappings of its own, and what errors call it.

    Raises:
        ConfigError: the file is missing, or no YAML, or holds no sections.
    """
    if isinstance(source, Mapping):
        values, name = _plain("config", source), "config"
    elif not isinstance(source, (str, Path)):
        raise ConfigError(
            f"config: expected a file, a shipped config's name or a mapping, got {told(source)}"
        )
    else:
        path = find_config(source)
        values, name = _read_file(path), str(path)
    if not isinstance(values, dict):
        raise ConfigError(f"{name}: expected sections (seed, environment, ...), got {values!r}")
    return values, name


def apply_overrides(values: dict[str, Any], overrides: Overrides) -> list[str]:
    """Puts a mapping's overrides into the values; of a sequence, gives keys and values apart, as words.

    Raises:
        ConfigError: overrides of another type, or a key below what is no section.
    """
    _check_overrides(overrides)
    if isinstance(overrides, Mapping):
        for key, value in overrides.items():
            _put(values, key, _plain(key, value))
        return []
    return [part for word in overrides for part in (word.split("=", 1) if word[:2] == "--" else [word])]


def overridden_keys(overrides: Overrides) -> set[str]:
    """The dotted keys that overrides give a value.

    Raises:
        ConfigError: overrides of another type.
    """
    _check_overrides(overrides)
    if isinstance(overrides, Mapping):
        plain = {name: _plain(name, value) for name, value in overrides.items()}
        return set(given_keys(plain))
    return {word[2:].partition("=")[0] for word in overrides if word.startswith("--")}


def _check_overrides(overrides: Overrides) -> None:
    listed = isinstance(overrides, list | tuple) and all(isinstance(word, str) for word in overrides)
    if isinstance(overrides, Mapping):
        listed = all(isinstance(key, str) for key in overrides)
    if not listed:
        raise ConfigError(
            f'overrides: expected a mapping such as {{"seed": 3}} or a list of words, got {told(overrides)}'
        )


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    *path, name = key.split(".")
    section = values
    for part in path:
        section = section.setdefault(part, {})
        if not isinstance(section, dict):
            raise ConfigError(f"{key}: expected a section that holds it, got {section!r}")
    section[name] = value


def _read_file(path: Path) -> Any:
    try:
        return load_yaml(path.read_text())
    except OSError as error:
        raise ConfigError(f"expected a config file, got {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected YAML: {one_line(error)}") from error


def _plain(name: str, value: Any) -> Any:
    try:
        return as_plain(value)
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from error
