"""Configs: what a file, a name or a mapping holds, read into the dataclasses of the modules that use it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, is_dataclass, replace
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError

from metarl.errors import ConfigError, one_line
from metarl.experiment.config_messages import explain
from metarl.experiment.kinds import Kind, meta_kind, scratch_kind, supervised_kind, take_kind
from metarl.experiment.migration import migrated
from metarl.experiment.parsing import check_keys, check_plain, parse_sections
from metarl.experiment.plain_yaml import as_plain
from metarl.experiment.read_keys import Unread, check_given, given_keys, unread_in, with_defaults, without
from metarl.experiment.reading import Overrides, Source, apply_overrides, overridden_keys, read_values
from metarl.experiment.scratch_section import NetworkConfig, ScratchConfig
from metarl.experiment.sections import (
    EnvironmentConfig,
    PolicyConfig,
    SamplingConfig,
    policy_config,
    policy_section,
)
from metarl.experiment.shipped import find_config
from metarl.experiment.training_section import TrainingConfig
from metarl.supervised.section import SupervisedTraining

_ORDER = (
    *("seed", "environment", "policy", "sampling", "meta_learner", "from_scratch"),
    *("data", "network", "learner", "training", "run_dir"),
)
_LATER = "later_step_scale"


@dataclass(frozen=True, kw_only=True)
class RunConfig(ABC):
    """What every config says: how long to learn, and where results go."""

    seed: int
    training: TrainingConfig | SupervisedTraining
    run_dir: str

    @property
    @abstractmethod
    def unread(self) -> Unread:
        """The keys that nothing reads with the other settings."""

    def as_dict(self) -> dict[str, Any]:
        """The resolved config, as it would stand in a YAML file, without the keys that nothing reads."""
        return _in_order(asdict(self), self.unread)


@dataclass(frozen=True, kw_only=True)
class CommonConfig(RunConfig):
    """What every config of control says: the environment, and how much is sampled."""

    environment: EnvironmentConfig
    sampling: SamplingConfig
    training: TrainingConfig


@dataclass(frozen=True, kw_only=True)
class ExperimentConfig(CommonConfig):
    """A policy that is meta-learned.

    Args:
        meta_learner: the settings of the named meta-learner, a dataclass of its own.
    """

    policy: PolicyConfig
    meta_learner: Any
    meta_learner_name: str

    @property
    def unread(self) -> Unread:
        sections = {**vars(self), "policy": policy_section(self.policy)}
        return _unread(meta_kind(self.meta_learner_name, self.policy.name), sections)

    def as_dict(self) -> dict[str, Any]:
        sections = asdict(self)
        policy, name = sections["policy"], sections.pop("meta_learner_name")
        settings = policy.pop("settings")
        sections["policy"] = {"name": policy.pop("name"), **settings, **policy}
        sections["meta_learner"] = {"name": name, **sections["meta_learner"]}
        return _in_order(sections, self.unread)


@dataclass(frozen=True, kw_only=True)
class ScratchExperiment(CommonConfig):
    """Every evaluation task learned from scratch: nothing is meta-learned."""

    policy: NetworkConfig
    from_scratch: ScratchConfig

    @property
    def unread(self) -> Unread:
        return _unread(scratch_kind(), vars(self))


@dataclass(frozen=True, kw_only=True)
class SupervisedExperiment(RunConfig):
    """A network that is meta-learned on tasks of labelled examples.

    Args:
        data, network, learner: the settings of what is named, dataclasses of their own.
        names: of these sections.
    """

    data: Any
    network: Any
    learner: Any
    training: SupervisedTraining
    names: Mapping[str, str]

    @property
    def unread(self) -> Unread:
        return _unread(supervised_kind(self.names), vars(self))

    def as_dict(self) -> dict[str, Any]:
        sections = asdict(self)
        for section, name in sections.pop("names").items():
            sections[section] = {"name": name, **sections[section]}
        return _in_order(sections, self.unread)


ControlExperiment = ExperimentConfig | ScratchExperiment
"""The kinds of configs that have an environment."""
AnyExperiment = ControlExperiment | SupervisedExperiment
"""The kinds of configs; the sections that they have tell them apart."""


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
    return folder.resolve() == Path(run_dir).resolve() or any(folder.glob("*.safetensors"))


def meta_learned(config: AnyExperiment) -> ExperimentConfig:
    """The config, which has a meta-learner.

    Raises:
        ConfigError: it has none.
    """
    if isinstance(config, ScratchExperiment):
        raise ConfigError(
            "meta_learner: expected this section, got from_scratch, which learns every task anew and leaves "
            f"no policy that adapts; metarl train runs it, and its results are in {config.run_dir}/tasks"
        )
    if isinstance(config, SupervisedExperiment):
        raise ConfigError(
            "meta_learner: expected this section, got learner, which learns labelled examples and leaves no "
            f"policy; metarl.train_supervised and metarl train run it, and its results are in "
            f"{config.run_dir}/evaluation"
        )
    return config


def supervised(config: AnyExperiment) -> SupervisedExperiment:
    """The config, which learns labelled examples.

    Raises:
        ConfigError: it learns a policy.
    """
    if isinstance(config, SupervisedExperiment):
        return config
    raise ConfigError(
        "learner: expected this section, got environment, in which policies learn; metarl train runs it"
    )


def of_control(config: AnyExperiment) -> ControlExperiment:
    """The config, which has an environment.

    Raises:
        ConfigError: it has none.
    """
    if isinstance(config, SupervisedExperiment):
        raise ConfigError(
            "environment: expected this section, got data, whose results are those of its own training, in "
            f"{config.run_dir}/evaluation"
        )
    return config


def scale_later_steps(config: ExperimentConfig, scale: float) -> ExperimentConfig:
    """The config whose inner steps after the first are scaled by another factor.

    Raises:
        ConfigError: its meta-learner does not scale them.
    """
    rule = config.meta_learner
    if not getattr(rule, "scales_later_steps", False):
        raise ConfigError(
            f"{_LATER}: expected a meta-learner whose inner steps after the first it scales, "
            f"got {config.meta_learner_name}; leave it out"
        )
    return replace(config, meta_learner=replace(rule, **{_LATER: scale}))


def sections_of(config: Source, overrides: Overrides = ()) -> Kind:
    """The sections of a config, by the names in it.

    Raises:
        ConfigError: the file is missing or no YAML, or the names of its sections are wrong.
    """
    values, source = read_values(config)
    try:
        words = apply_overrides(values, overrides)
        return take_kind(migrated(values), words)
    except (ConfigError, ValueError) as error:
        raise ConfigError(f"{source}: {error}") from error


def _read(
    values: dict[str, Any], source: str, overrides: Overrides, is_saved: Callable[[str], bool]
) -> AnyExperiment:
    """Args:
    is_saved: run folder -> whether the values are a whole config's, as metarl saves it: what nothing
        reads in it was not asked for.
    """
    try:
        stated, chosen = set(given_keys(migrated(values))), overridden_keys(overrides)
        words = apply_overrides(values, overrides)
        check_plain(values)
        values = migrated(values)
        kind = take_kind(values, words)
        made = parse_sections(values, words, kind.sections)
        unread = _unread(kind, made)
        check_given(sorted(chosen if is_saved(made["run_dir"]) else chosen | stated), unread)
        config = _config(kind, {name: _with_defaults(name, one, unread) for name, one in made.items()})
        saved = config.as_dict()
        check_keys(saved)
        check_plain(saved)
    except (ArgumentError, TypeError, ValueError) as error:
        raise ConfigError(f"{source}: {explain(one_line(error), values, words)}") from error
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from error
    return config


def _config(kind: Kind, sections: dict[str, Any]) -> AnyExperiment:
    if kind.supervised is not None:
        return SupervisedExperiment(**sections, names=kind.supervised)
    if kind.policy is None or kind.meta_learner is None:
        return ScratchExperiment(**sections)
    policy = policy_config(kind.policy, sections["policy"])
    return ExperimentConfig(**{**sections, "policy": policy}, meta_learner_name=kind.meta_learner)


def _unread(kind: Kind, sections: Mapping[str, Any]) -> Unread:
    """What nothing reads with a kind's names and the values of its sections."""
    found = dict(kind.unread)
    for name in kind.sections:
        found |= unread_in(sections[name], f"{name}.")
    return found


def _with_defaults(name: str, section: Any, unread: Unread) -> Any:
    return with_defaults(section, unread, f"{name}.") if is_dataclass(section) else section


def _in_order(sections: dict[str, Any], unread: Unread) -> dict[str, Any]:
    plain: dict[str, Any] = as_plain({key: sections[key] for key in _ORDER if key in sections})
    return without(plain, unread)
