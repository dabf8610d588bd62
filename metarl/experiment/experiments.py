"""The kinds of experiments: what a config holds once it is read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from metarl.errors import ConfigError
from metarl.experiment.kinds import Kind, meta_kind, scratch_kind, supervised_kind
from metarl.experiment.plain_yaml import as_plain
from metarl.experiment.read_keys import Unread, unread_in, without
from metarl.experiment.scratch_section import NetworkConfig, ScratchConfig
from metarl.experiment.sections import EnvironmentConfig, PolicyConfig, SamplingConfig, policy_section
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
        return unread_keys(meta_kind(self.meta_learner_name, self.policy.name), sections)

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
        return unread_keys(scratch_kind(), vars(self))


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
        return unread_keys(supervised_kind(self.names), vars(self))

    def as_dict(self) -> dict[str, Any]:
        sections = asdict(self)
        for section, name in sections.pop("names").items():
            sections[section] = {"name": name, **sections[section]}
        return _in_order(sections, self.unread)


ControlExperiment = ExperimentConfig | ScratchExperiment
"""The kinds of configs that have an environment."""
AnyExperiment = ControlExperiment | SupervisedExperiment
"""The kinds of configs; the sections that they have tell them apart."""
_WITHOUT_POLICY: Mapping[type[RunConfig], tuple[str, str, str, str]] = {
    ScratchExperiment: (
        "from_scratch",
        "every task anew and leaves no policy that adapts",
        "metarl.train_from_scratch and metarl train run it",
        "tasks",
    ),
    SupervisedExperiment: (
        "learner",
        "labelled examples and leaves no policy",
        "metarl.train_supervised and metarl train run it",
        "evaluation",
    ),
}
"""Kind -> its section, what it learns, what runs it, where its results are."""


def meta_learned(config: AnyExperiment) -> ExperimentConfig:
    """The config, which has a meta-learner.

    Raises:
        ConfigError: it has none.
    """
    if not isinstance(config, ExperimentConfig):
        section, what, run, results = _WITHOUT_POLICY[type(config)]
        raise ConfigError(
            f"meta_learner: expected this section, got {section}, which learns {what}; {run}, and its "
            f"results are in {config.run_dir}/{results}"
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


def from_scratch(config: AnyExperiment) -> ScratchExperiment:
    """The config, which learns every task from scratch.

    Raises:
        ConfigError: it learns what adapts, or labelled examples.
    """
    if isinstance(config, ScratchExperiment):
        return config
    got = "learner" if isinstance(config, SupervisedExperiment) else "meta_learner"
    raise ConfigError(f"from_scratch: expected this section, got {got}; metarl train runs it")


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


def unread_keys(kind: Kind, sections: Mapping[str, Any]) -> Unread:
    """What nothing reads with a kind's names and the values of its sections."""
    found = dict(kind.unread)
    for name in kind.sections:
        found |= unread_in(sections[name], f"{name}.")
    return found


def _in_order(sections: dict[str, Any], unread: Unread) -> dict[str, Any]:
    plain: dict[str, Any] = as_plain({key: sections[key] for key in _ORDER if key in sections})
    return without(plain, unread)
