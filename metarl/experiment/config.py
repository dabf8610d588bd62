"""Configs: strict YAML and dotted overrides, read into the dataclasses of the modules that use them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError, ArgumentParser
from jsonargparse.typing import NonNegativeInt

from metarl.errors import ConfigError
from metarl.experiment.config_messages import explain, one_line
from metarl.experiment.config_sections import (
    apply_words,
    check_values,
    join_free,
    key_types,
    make_section,
    split_free,
)
from metarl.experiment.names import take_name
from metarl.experiment.plain_yaml import as_plain, load_yaml
from metarl.experiment.sections import (
    GAUSSIAN_MLP,
    EnvironmentConfig,
    PolicyConfig,
    SamplingConfig,
    policy_keys,
)
from metarl.from_scratch.settings import SCRATCH, ScratchConfig
from metarl.meta_learners.registry import find_meta_learner
from metarl.policies.registry import find_policy
from metarl.training.settings import TrainingConfig


@dataclass(frozen=True)
class ExperimentConfig:
    """A whole experiment: the sections of a config file."""

    seed: int
    environment: EnvironmentConfig
    policy: PolicyConfig
    sampling: SamplingConfig
    meta_learner: Any
    meta_learner_name: str
    training: TrainingConfig
    run_dir: str

    def as_dict(self) -> dict[str, Any]:
        """The resolved config, as it would stand in a YAML file."""
        sections = asdict(self)
        policy, name = sections["policy"], sections.pop("meta_learner_name")
        settings = policy.pop("settings")
        sections["policy"] = {"name": policy.pop("name"), **settings, **policy}
        sections["meta_learner"] = {"name": name, **sections["meta_learner"]}
        plain: dict[str, Any] = as_plain(sections)
        return plain


def read_config(path: Path, overrides: Sequence[str] = ()) -> ExperimentConfig:
    """Reads a YAML file and applies overrides of the form `--section.key value`.

    Raises:
        ConfigError: the file is missing or no YAML, or a key is unknown, ill-typed or impossible; one
            line that names the key, what was expected and what was found.
    """
    return _parse(_read_sections(path), _words(overrides), str(path))


def read_meta_learner_name(path: Path, overrides: Sequence[str] = ()) -> str:
    """The meta-learner of a YAML file or, if they name one, of the overrides.

    Raises:
        ConfigError: the file is missing or no YAML, or names no meta-learner.
    """
    return str(take_name(_read_sections(path), _words(overrides), "meta_learner"))


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


def config_parser(meta_learner: str, policy: str = GAUSSIAN_MLP) -> ArgumentParser:
    """The parser of all sections, with the settings of one meta-learner and one policy."""
    parser = ArgumentParser(exit_on_error=False, add_help=False, allow_abbrev=False)
    parser.add_argument("--seed", type=NonNegativeInt, default=0, help="determines all randomness")
    for name, section in config_sections(meta_learner, policy).items():
        parser.add_class_arguments(section, name)
    parser.add_argument("--run_dir", type=str, required=True, help="folder of the run")
    return parser


def config_sections(meta_learner: str, policy: str = GAUSSIAN_MLP) -> dict[str, type[Any]]:
    """The dataclasses of all sections, with the settings of one meta-learner and one policy.

    Raises:
        ConfigError: no such meta-learner or policy.
    """
    return {
        "environment": EnvironmentConfig,
        "policy": policy_keys(find_policy(policy)),
        "sampling": SamplingConfig,
        "meta_learner": ScratchConfig if meta_learner == SCRATCH else find_meta_learner(meta_learner).config,
        "training": TrainingConfig,
    }


def _read_sections(path: Path) -> dict[str, Any]:
    """What a YAML file holds."""
    try:
        values = load_yaml(path.read_text())
    except OSError as error:
        raise ConfigError(f"expected a config file, got {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected YAML: {one_line(error)}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected sections (seed, environment, ...), got {values!r}")
    return values


def _words(overrides: Sequence[str]) -> list[str]:
    """Keys and values apart, also of `--key=value`."""
    return [part for word in overrides for part in (word.split("=", 1) if word[:2] == "--" else [word])]


def _parse(values: dict[str, Any], words: list[str], source: str) -> ExperimentConfig:
    try:
        policy = take_name(values, words, "policy", GAUSSIAN_MLP)
        learner = take_name(values, words, "meta_learner")
        sections = config_sections(learner, policy)
        types = key_types({"seed": NonNegativeInt, **sections, "run_dir": str})
        check_values(values, types)
        typed_words = apply_words(values, words, types)
        typed, free = split_free(values, types)
        parser = config_parser(learner, policy)
        parsed = parser.parse_args(typed_words, namespace=parser.parse_object(typed, defaults=True)).as_dict()
        join_free(parsed, free)
        made = {key: make_section(kind, parsed[key]) for key, kind in sections.items()}
    except (ArgumentError, TypeError, ValueError) as error:
        raise ConfigError(f"{source}: {explain(one_line(error), values, words)}") from error
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from error
    settings = {key.name: getattr(made["policy"], key.name) for key in fields(made["policy"])}
    made["policy"] = PolicyConfig(policy, start_from=settings.pop("start_from"), settings=settings)
    config = ExperimentConfig(
        seed=parsed["seed"], run_dir=parsed["run_dir"], meta_learner_name=learner, **made
    )
    if infinite := _not_finite(config.as_dict()):
        raise ConfigError(f"{source}: {infinite}: expected a finite number")
    return config


def _not_finite(section: dict[str, Any], prefix: str = "") -> str | None:
    """The first key whose number is infinite or NaN."""
    for key, value in section.items():
        if isinstance(value, dict):
            if found := _not_finite(value, f"{prefix}{key}."):
                return found
        elif isinstance(value, float) and not math.isfinite(value):
            return f"{prefix}{key}"
    return None
