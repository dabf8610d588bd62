"""Configs: strict YAML and dotted overrides, read into the dataclasses of the modules that use them."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import yaml
from jsonargparse import ArgumentError, ArgumentParser
from jsonargparse.typing import NonNegativeInt, PositiveFloat, PositiveInt

from metarl.errors import ConfigError, RunError
from metarl.meta_learners.registry import META_LEARNERS
from metarl.sampling.advantages import AdvantageConfig
from metarl.scratch.settings import SCRATCH, ScratchConfig
from metarl.training.checkpoint import write_atomically
from metarl.training.loop import TrainingConfig

CONFIG = "config.yaml"
NAME_OPTION = "--meta_learner.name"
EXPECTATIONS = {
    "PositiveInt": "an integer > 0",
    "NonNegativeInt": "an integer >= 0",
    "PositiveFloat": "a number > 0",
    "NonNegativeFloat": "a number >= 0",
    "ClosedUnitInterval": "a number in [0, 1]",
    "OpenUnitInterval": "a number in (0, 1)",
}


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
        plain: dict[str, Any] = _plain(sections)
        return plain


def read_config(path: Path, overrides: Sequence[str] = ()) -> ExperimentConfig:
    """Reads a YAML file and applies overrides of the form `--section.key value`.

    Raises:
        ConfigError: the file is missing or no YAML, or a key is unknown, ill-typed or impossible; one
            line that names the key, what was expected and what was found.
    """
    try:
        values = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError(f"expected a config file, got {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected YAML: {_one_line(error)}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected sections (seed, environment, ...), got {values!r}")
    return _parse(values, overrides, str(path))


def load_run_config(run_dir: Path) -> ExperimentConfig:
    """Reads the resolved config of a run folder.

    Raises:
        RunError: the folder is missing or is no run.
    """
    if not (run_dir / CONFIG).is_file():
        raise RunError(f"expected a run folder with {CONFIG}, found none in {run_dir}")
    try:
        return read_config(run_dir / CONFIG)
    except ConfigError as error:
        raise RunError(f"{run_dir} is not a run of this version of metarl: {error}") from error


def save_run_config(run_dir: Path, config: ExperimentConfig) -> None:
    text = yaml.safe_dump(config.as_dict(), sort_keys=False)
    write_atomically(run_dir / CONFIG, text.encode())


def config_parser(meta_learner: str) -> ArgumentParser:
    """The parser of all sections, with the settings of one meta-learner."""
    parser = ArgumentParser(exit_on_error=False, add_help=False, allow_abbrev=False)
    parser.add_argument("--seed", type=NonNegativeInt, default=0, help="determines all randomness")
    parser.add_class_arguments(EnvironmentConfig, "environment")
    parser.add_class_arguments(PolicyConfig, "policy")
    parser.add_class_arguments(SamplingConfig, "sampling")
    learner = ScratchConfig if meta_learner == SCRATCH else META_LEARNERS[meta_learner].config
    parser.add_class_arguments(learner, "meta_learner")
    parser.add_class_arguments(TrainingConfig, "training")
    parser.add_argument("--run_dir", type=str, required=True, help="folder of the run")
    return parser


def _parse(values: dict[str, Any], overrides: Sequence[str], source: str) -> ExperimentConfig:
    values = {key: dict(section) if isinstance(section, dict) else section for key, section in values.items()}
    sections = {*(field.name for field in fields(ExperimentConfig)), "meta_learner"} - {"meta_learner_name"}
    for key, section in values.items():
        if key not in sections:
            raise ConfigError(f"{source}: {_unknown(str(key), sections)}")
        if key not in ("seed", "run_dir") and not isinstance(section, dict):
            raise ConfigError(f"{source}: {key}: expected a section of keys, got {section!r}")
    words = [part for word in overrides for part in (word.split("=", 1) if word[:2] == "--" else [word])]
    name = values.setdefault("meta_learner", {}).pop("name", None)
    if NAME_OPTION in words:
        at = words.index(NAME_OPTION)
        name = "".join(words[at + 1 : at + 2])
        del words[at : at + 2]
    names = sorted([*META_LEARNERS, SCRATCH])
    if name not in names:
        raise ConfigError(f"{source}: meta_learner.name: expected one of {names}, got {name!r}")
    parser = config_parser(name)
    try:
        parsed = parser.parse_args(words, namespace=parser.parse_object(values, defaults=True))
        settings: dict[str, Any] = vars(parser.instantiate(parsed))
    except (ArgumentError, TypeError, ValueError) as error:
        known = set(parser.get_defaults().keys(branches=True))
        raise ConfigError(f"{source}: {_explain(_one_line(error), known, values, words)}") from error
    config = ExperimentConfig(**settings, meta_learner_name=name)
    if infinite := _not_finite(config.as_dict()):
        raise ConfigError(f"{source}: {infinite}: expected a finite number")
    return config


def _explain(message: str, known: set[str], values: dict[str, Any], words: list[str]) -> str:
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
    if unknown := re.match(r"Group '([^']+)' does not accept option '([^']+)'", message):
        return _unknown(f"{unknown[1]}.{unknown[2]}", known)
    if unknown := re.match(r"unrecognized arguments: --(\S+)", message):
        return _unknown(unknown[1], known)
    return message


def _found(key: str, values: dict[str, Any], words: list[str]) -> Any:
    """The value that the key was given, on the command line or in the file."""
    if f"--{key}" in words:
        return words[words.index(f"--{key}") + 1]
    found: Any = values
    for part in key.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _unknown(key: str, known: set[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    siblings = sorted(name for name in known if name.rpartition(".")[0] == key.rpartition(".")[0])
    return f"{key}: expected one of the keys {siblings}, got an unknown one{hint}"


def _one_line(error: object) -> str:
    return re.sub(r"\s+", " ", str(error)).strip()


def _not_finite(section: dict[str, Any], prefix: str = "") -> str | None:
    """The first key whose number is infinite or NaN."""
    for key, value in section.items():
        if isinstance(value, dict):
            if found := _not_finite(value, f"{prefix}{key}."):
                return found
        elif isinstance(value, float) and not math.isfinite(value):
            return f"{prefix}{key}"
    return None


def _plain(value: Any) -> Any:
    """Tuples as lists and restricted numbers as numbers, for YAML."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    for number in (bool, int, float):
        if isinstance(value, number):
            return number(value)
    return value
