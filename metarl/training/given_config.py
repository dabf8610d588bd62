"""A config as Python code gives it: a path, a shipped config's name, or a dict, with overrides."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

from metarl.experiment.config import ExperimentConfig, read_config
from metarl.experiment.plain_yaml import dump_yaml
from metarl.experiment.shipped import find_config

GivenConfig: TypeAlias = str | Path | Mapping[str, Any] | ExperimentConfig
"""A YAML file, the name of a shipped config, the sections of one, or one that was read."""
Overrides: TypeAlias = Mapping[str, Any] | Sequence[str] | None
"""{"training.iterations": 3}, or words as on the command line: ["--training.iterations", "3"]."""


def read_given(config: GivenConfig, overrides: Overrides = None) -> ExperimentConfig:
    """Reads a config and applies overrides.

    Raises:
        ConfigError: the file is missing or no YAML, or a key is unknown, ill-typed or impossible.
    """
    words = as_words(overrides)
    if isinstance(config, ExperimentConfig) and not words:
        return config
    if isinstance(config, (str, Path)):
        return read_config(find_config(config), words)
    values = config.as_dict() if isinstance(config, ExperimentConfig) else dict(config)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        path.write_text(dump_yaml(values))
        return read_config(path, words)


def as_words(overrides: Overrides) -> list[str]:
    """Overrides as words of the command line."""
    if not isinstance(overrides, Mapping):
        return list(overrides or ())
    return [f"--{key}={_text(value)}" for key, value in overrides.items()]


def _text(value: Any) -> str:
    return str(value) if isinstance(value, (str, Path)) else json.dumps(value)
