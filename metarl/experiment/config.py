"""Configs: what a file, a name or a mapping holds, read into the dataclasses of the modules that use it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError

from metarl.errors import ConfigError, one_line
from metarl.experiment.config_messages import explain, with_place
from metarl.experiment.experiments import (
    AnyExperiment,
    ExperimentConfig,
    ScratchExperiment,
    SupervisedExperiment,
    unread_keys,
)
from metarl.experiment.kinds import Kind, take_kind
from metarl.experiment.migration import migrated
from metarl.experiment.parsing import check_keys, check_plain, parse_sections
from metarl.experiment.read_keys import (
    Unread,
    check_given,
    given_keys,
    unread_by_itself,
    with_defaults,
)
from metarl.experiment.reading import Overrides, Source, apply_overrides, overridden_keys, read_values
from metarl.experiment.sections import policy_config
from metarl.experiment.shipped import find_config
from metarl.experiment.spellings import spell_out


def read_config(config: Source, overrides: Overrides = ()) -> AnyExperiment:
    """Reads a config: strict, so that no key is without effect.

    Args:
        config: a YAML file, the name of a shipped config, or a mapping of the same sections.
        overrides: by their dotted keys, {"training.iterations": 3}, or as on the command line,
            ["--training.iterations", "3"].

    Returns:
        An `ExperimentConfig` of a config with the section `meta_learner`, a `ScratchExperiment` of one with
        `from_scratch`, a `SupervisedExperiment` of one with `learner`.

    Raises:
        ConfigError: the file is missing or no YAML, or a key is unknown, ill-typed or impossible; one
            line that names the key, what was expected and what was found.

    Examples:
        >>> config = metarl.read_config("quickstart", {"training.iterations": 3, "run_dir": "runs/a"})
        >>> config.training.iterations
        3
    """
    values, source = read_values(config)
    return _read(values, source, overrides, lambda run_dir: _is_of_run(config, run_dir))


def read_saved_config(path: Path) -> AnyExperiment:
    """Reads a config that metarl saved, of any version: keys in it that nothing reads are left out.

    Raises:
        ConfigError: as `read_config`.
    """
    return _read(*read_values(path), (), lambda run_dir: True)


def with_overrides(config: AnyExperiment, overrides: Overrides) -> AnyExperiment:
    """A config of other values; keys that the new ones leave without effect are left out.

    Raises:
        ConfigError: as `read_config`.
    """
    return _read(*read_values(config.as_dict()), overrides, lambda run_dir: True)


def _is_of_run(config: Source, run_dir: str) -> bool:
    """Whether a config is the file of a run, in its folder or beside a policy."""
    if isinstance(config, Mapping):
        return False
    folder = find_config(config).parent
    return os.path.realpath(folder) == os.path.realpath(run_dir) or any(folder.glob("*.safetensors"))


def sections_of(config: Source, overrides: Overrides = ()) -> Kind:
    """The sections of a config, by the names in it.

    Raises:
        ConfigError: the file is missing or no YAML, or the names of its sections are wrong.
    """
    values, source = read_values(config)
    chosen: set[str] = set()
    try:
        chosen = overridden_keys(overrides)
        words = apply_overrides(values, overrides)
        return take_kind(migrated(values), words)
    except (ConfigError, ValueError) as error:
        raise ConfigError(with_place(str(error), source, chosen)) from error


def _read(
    values: dict[str, Any], source: str, overrides: Overrides, is_saved: Callable[[str], bool]
) -> AnyExperiment:
    """Args:
    is_saved: run folder -> whether the values are a whole config's, as metarl saves it: what nothing
        reads in it was not asked for.
    """
    chosen: set[str] = set()
    words: list[str] = []
    try:
        stated, chosen = set(given_keys(migrated(values))), overridden_keys(overrides)
        words = apply_overrides(values, overrides)
        check_plain(values)
        values = migrated(values)
        kind = take_kind(values, words)
        renamed = _renamed(kind, chosen)
        for section in renamed:
            values[section] = _known(values.get(section, {}), section, kind, chosen)
        stated = {key for key in stated if key.partition(".")[0] not in renamed}
        words = spell_out(values, words, kind.sections, chosen)
        made = parse_sections(values, words, kind.sections)
        unread = unread_keys(kind, made)
        check_given(sorted(chosen), unread)
        if not is_saved(made["run_dir"]):
            check_given(sorted(stated), unread_by_itself(unread, chosen))
        config = _config(kind, {name: _with_defaults(name, one, unread) for name, one in made.items()})
        saved = config.as_dict()
        check_keys(saved)
        check_plain(saved)
    except (ArgumentError, TypeError, ValueError) as error:
        message = explain(one_line(error), values, words)
        raise ConfigError(with_place(message, source, chosen)) from error
    except ConfigError as error:
        raise ConfigError(with_place(str(error), source, chosen)) from error
    return config


def _renamed(kind: Kind, chosen: set[str]) -> set[str]:
    """The sections in which overrides name another thing; another learner may take another policy."""
    renamed = {section for section in kind.sections if f"{section}.name" in chosen}
    return renamed | ({"policy"} if "meta_learner" in renamed else set())


def _known(section: Any, name: str, kind: Kind, chosen: set[str]) -> Any:
    """A section without what the file says of another thing than the one that overrides name."""
    if not isinstance(section, dict):
        return section
    known = {field.name for field in fields(kind.sections[name])}
    known |= {key.split(".")[1] for key in chosen if key.startswith(f"{name}.")}
    return {key: value for key, value in section.items() if key in known}


def _config(kind: Kind, sections: dict[str, Any]) -> AnyExperiment:
    if kind.supervised is not None:
        return SupervisedExperiment(**sections, names=kind.supervised)
    if kind.policy is None or kind.meta_learner is None:
        return ScratchExperiment(**sections)
    policy = policy_config(kind.policy, sections["policy"])
    return ExperimentConfig(**{**sections, "policy": policy}, meta_learner_name=kind.meta_learner)


def _with_defaults(name: str, section: Any, unread: Unread) -> Any:
    return with_defaults(section, unread, f"{name}.") if is_dataclass(section) else section
