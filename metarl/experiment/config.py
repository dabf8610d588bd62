"""Configs: what a file, a name or a mapping holds, read into the dataclasses of the modules that use it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from jsonargparse import ArgumentError

from metarl.errors import ConfigError
from metarl.experiment.config_messages import explain, one_line
from metarl.experiment.migration import migrated
from metarl.experiment.names import take_name
from metarl.experiment.parsing import check_finite, parse_sections
from metarl.experiment.plain_yaml import as_plain
from metarl.experiment.reading import Overrides, Source, apply_overrides, read_values
from metarl.experiment.scratch_section import NetworkConfig, ScratchConfig
from metarl.experiment.sections import (
    GAUSSIAN_MLP,
    EnvironmentConfig,
    PolicyConfig,
    SamplingConfig,
    policy_keys,
)
from metarl.experiment.training_section import TrainingConfig
from metarl.meta_learners.registry import find_meta_learner
from metarl.policies.registry import find_policy

_ORDER = ("seed", "environment", "policy", "sampling", "meta_learner", "from_scratch", "training", "run_dir")


@dataclass(frozen=True, kw_only=True)
class CommonConfig:
    """What every config says: the environment, how much is sampled, and where results go."""

    seed: int
    environment: EnvironmentConfig
    sampling: SamplingConfig
    training: TrainingConfig
    run_dir: str

    def as_dict(self) -> dict[str, Any]:
        """The resolved config, as it would stand in a YAML file."""
        return _in_order(asdict(self))


@dataclass(frozen=True, kw_only=True)
class ExperimentConfig(CommonConfig):
    """A policy that is meta-learned.

    Args:
        meta_learner: the settings of the named meta-learner, a dataclass of its own.
    """

    policy: PolicyConfig
    meta_learner: Any
    meta_learner_name: str

    def as_dict(self) -> dict[str, Any]:
        sections = asdict(self)
        policy, name = sections["policy"], sections.pop("meta_learner_name")
        settings = policy.pop("settings")
        sections["policy"] = {"name": policy.pop("name"), **settings, **policy}
        sections["meta_learner"] = {"name": name, **sections["meta_learner"]}
        return _in_order(sections)


@dataclass(frozen=True, kw_only=True)
class ScratchExperiment(CommonConfig):
    """Every evaluation task learned from scratch: nothing is meta-learned."""

    policy: NetworkConfig
    from_scratch: ScratchConfig


AnyExperiment = ExperimentConfig | ScratchExperiment
"""The kinds of configs; the sections that they have tell them apart."""


def read_config(config: Source, overrides: Overrides = ()) -> AnyExperiment:
    """Reads a config: strict, so that no key is without effect.

    Args:
        config: a YAML file, the name of a shipped config, or a mapping of the same sections.
        overrides: by their dotted keys, {"training.iterations": 3}, or as on the command line,
            ["--training.iterations", "3"].

    Returns:
        An `ExperimentConfig` of a config with the section `meta_learner`, a `ScratchExperiment` of one with
        `from_scratch`.

    Raises:
        ConfigError: the file is missing or no YAML, or a key is unknown, ill-typed or impossible; one
            line that names the key, what was expected and what was found.

    Examples:
        >>> config = metarl.read_config("quickstart", {"training.iterations": 3, "run_dir": "runs/a"})
        >>> config.training.iterations
        3
    """
    values, source = read_values(config)
    try:
        words = apply_overrides(values, overrides)
        values = migrated(values)
        made = _from_scratch(values, words) if _is_from_scratch(values, words) else _meta(values, words)
        check_finite(made.as_dict())
    except (ArgumentError, TypeError, ValueError) as error:
        raise ConfigError(f"{source}: {explain(one_line(error), values, words)}") from error
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from error
    return made


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
    return config


def scale_later_steps(config: ExperimentConfig, scale: float) -> ExperimentConfig:
    """The config whose inner steps after the first are scaled by another factor.

    Raises:
        ConfigError: its meta-learner does not scale them.
    """
    name, rule = config.meta_learner_name, config.meta_learner
    if not hasattr(rule, "later_step_scale") or find_meta_learner(name).learns_every_step_size:
        raise ConfigError(
            "later_step_scale: expected a meta-learner whose inner steps after the first it scales, "
            f"got {name}; leave it out"
        )
    return replace(config, meta_learner=replace(rule, later_step_scale=scale))


def meta_sections(meta_learner: str, policy: str = GAUSSIAN_MLP) -> dict[str, type[Any]]:
    """The dataclasses of the sections with a meta-learner and a policy; `name` is no field of these two.

    Raises:
        ConfigError: no such meta-learner or policy.
    """
    return {
        "environment": EnvironmentConfig,
        "policy": policy_keys(find_policy(policy)),
        "sampling": SamplingConfig,
        "meta_learner": find_meta_learner(meta_learner).config,
        "training": TrainingConfig,
    }


def scratch_sections() -> dict[str, type[Any]]:
    """The dataclasses of the sections of a config that learns from scratch."""
    return {
        "environment": EnvironmentConfig,
        "policy": NetworkConfig,
        "sampling": SamplingConfig,
        "from_scratch": ScratchConfig,
        "training": TrainingConfig,
    }


def sections_of(config: Source, overrides: Overrides = ()) -> tuple[dict[str, type[Any]], str | None]:
    """The dataclasses of a config's sections, and the name of its policy; None where it learns from scratch.

    Raises:
        ConfigError: the file is missing or no YAML, or the names of its sections are wrong.
    """
    values, source = read_values(config)
    try:
        words = apply_overrides(values, overrides)
        values = migrated(values)
        if _is_from_scratch(values, words):
            return scratch_sections(), None
        policy = take_name(values, words, "policy", GAUSSIAN_MLP)
        return meta_sections(take_name(values, words, "meta_learner"), policy), policy
    except (ConfigError, ValueError) as error:
        raise ConfigError(f"{source}: {error}") from error


def _is_from_scratch(values: dict[str, Any], words: list[str]) -> bool:
    given = {*values, *(word[2:].partition(".")[0] for word in words if word.startswith("--"))}
    if given >= {"meta_learner", "from_scratch"}:
        raise ValueError("from_scratch: expected this section or meta_learner, got both")
    return "from_scratch" in given


def _meta(values: dict[str, Any], words: list[str]) -> ExperimentConfig:
    policy = take_name(values, words, "policy", GAUSSIAN_MLP)
    learner = take_name(values, words, "meta_learner")
    made = parse_sections(values, words, meta_sections(learner, policy))
    settings = {key.name: getattr(made["policy"], key.name) for key in fields(made["policy"])}
    shared = {key: settings.pop(key) for key in ("start_from", "normalize_observations")}
    made["policy"] = PolicyConfig(policy, settings=settings, **shared)
    return ExperimentConfig(**made, meta_learner_name=learner)


def _from_scratch(values: dict[str, Any], words: list[str]) -> ScratchExperiment:
    return ScratchExperiment(**parse_sections(values, words, scratch_sections()))


def _in_order(sections: dict[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = as_plain({key: sections[key] for key in _ORDER if key in sections})
    return plain
