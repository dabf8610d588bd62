"""Configs: strict YAML and dotted overrides, read into the dataclasses of the modules that use them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import yaml
from jsonargparse import ArgumentError, ArgumentParser
from jsonargparse.typing import NonNegativeInt, PositiveFloat, PositiveInt

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
from metarl.experiment.old_configs import in_todays_form
from metarl.experiment.plain_yaml import as_plain, load_yaml
from metarl.from_scratch.settings import SCRATCH, ScratchConfig
from metarl.meta_learners.registry import META_LEARNERS
from metarl.rollouts.advantages import AdvantageConfig
from metarl.training.settings import TrainingConfig

NAME_OPTION = "--meta_learner.name"


@dataclass(frozen=True)
class EnvironmentConfig:
    """The environment.

    Args:
        id: a Gymnasium id: "metarl/HalfCheetahVel-v0", or any other environment with a task hook.
        horizon: steps an episode.
        options: keyword arguments of the environment: preset, action_scale, ...
        vectorization: "native" for metarl's environments; "sync" or "async" for any other.
    """

    id: str
    horizon: PositiveInt
    options: dict[str, Any] = field(default_factory=dict)
    vectorization: Literal["native", "sync", "async"] = "native"


@dataclass(frozen=True)
class PolicyConfig:
    """The Gaussian MLP policy.

    Args:
        hidden_sizes: units a hidden layer.
        activation: "tanh" or "relu".
        initial_std, min_std: standard deviation of the actions at the start, and its floor.
        output_gain: scales the initial weights of the mean's layer.
        start_from: a policy of this shape to start at instead of a random one: a file that
            stable-baselines3's PPO, A2C or TRPO saved (.zip), or a run folder; "" for none.
    """

    hidden_sizes: tuple[PositiveInt, ...] = (64, 64)
    activation: Literal["tanh", "relu"] = "tanh"
    initial_std: PositiveFloat = 1.0
    min_std: PositiveFloat = 1e-6
    output_gain: PositiveFloat = 1.0
    start_from: str = ""


@dataclass(frozen=True)
class SamplingConfig:
    """What an iteration samples.

    Args:
        tasks: tasks a meta-batch.
        episodes: episodes a task and inner step.
        num_threads: simulation threads, or processes of "async" environments; 0 for one a CPU. Results
            do not depend on it.
        advantages: how advantages are estimated.
    """

    tasks: PositiveInt = 20
    episodes: PositiveInt = 20
    num_threads: NonNegativeInt = 0
    advantages: AdvantageConfig = field(default_factory=AdvantageConfig)


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
        name = sections.pop("meta_learner_name")
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
    return _take_name(_read_sections(path), _words(overrides), str(path))


def scale_later_steps(config: ExperimentConfig, scale: float) -> ExperimentConfig:
    """The config whose inner steps after the first are scaled by another factor.

    Raises:
        ConfigError: its meta-learner does not scale them.
    """
    name, rule = config.meta_learner_name, config.meta_learner
    if not hasattr(rule, "later_step_scale") or META_LEARNERS[name].learns_every_step_size:
        raise ConfigError(
            "later_step_scale: expected a meta-learner whose inner steps after the first it scales, "
            f"got {name}; leave it out"
        )
    return replace(config, meta_learner=replace(rule, later_step_scale=scale))


def config_parser(meta_learner: str) -> ArgumentParser:
    """The parser of all sections, with the settings of one meta-learner."""
    parser = ArgumentParser(exit_on_error=False, add_help=False, allow_abbrev=False)
    parser.add_argument("--seed", type=NonNegativeInt, default=0, help="determines all randomness")
    for name, section in config_sections(meta_learner).items():
        parser.add_class_arguments(section, name)
    parser.add_argument("--run_dir", type=str, required=True, help="folder of the run")
    return parser


def config_sections(meta_learner: str) -> dict[str, type[Any]]:
    """The dataclasses of all sections, with the settings of one meta-learner."""
    return {
        "environment": EnvironmentConfig,
        "policy": PolicyConfig,
        "sampling": SamplingConfig,
        "meta_learner": ScratchConfig if meta_learner == SCRATCH else META_LEARNERS[meta_learner].config,
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


def _take_name(values: dict[str, Any], words: list[str], source: str) -> str:
    """Takes the meta-learner's name out of the values and the words, whose last one counts."""
    section = values.setdefault("meta_learner", {})
    if not isinstance(section, dict):
        raise ConfigError(f"{source}: meta_learner: expected a section of keys, got {section!r}")
    name = section.pop("name", None)
    while NAME_OPTION in words:
        at = words.index(NAME_OPTION)
        name = "".join(words[at + 1 : at + 2])
        del words[at : at + 2]
    names = sorted([*META_LEARNERS, SCRATCH])
    if name not in names:
        raise ConfigError(f"{source}: meta_learner.name: expected one of {names}, got {name!r}")
    return str(name)


def _parse(values: dict[str, Any], words: list[str], source: str) -> ExperimentConfig:
    name = _take_name(values, words, source)
    values["meta_learner"] = in_todays_form(name, values["meta_learner"])
    sections = config_sections(name)
    types = key_types({"seed": NonNegativeInt, **sections, "run_dir": str})
    try:
        check_values(values, types)
        typed_words = apply_words(values, words, types)
        typed, free = split_free(values, types)
        parser = config_parser(name)
        parsed = parser.parse_args(typed_words, namespace=parser.parse_object(typed, defaults=True)).as_dict()
        join_free(parsed, free)
        made = {key: make_section(kind, parsed[key]) for key, kind in sections.items()}
    except (ArgumentError, TypeError, ValueError) as error:
        raise ConfigError(f"{source}: {explain(one_line(error), values, words)}") from error
    config = ExperimentConfig(seed=parsed["seed"], run_dir=parsed["run_dir"], meta_learner_name=name, **made)
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
