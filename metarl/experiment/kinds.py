"""Kinds of configs: the sections that its names give a config, and the keys that nothing reads with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from metarl.errors import ConfigError
from metarl.experiment.names import take_name
from metarl.experiment.read_keys import Unread
from metarl.experiment.scratch_section import NetworkConfig, ScratchConfig
from metarl.experiment.sections import EnvironmentConfig, SamplingConfig, policy_keys, unread_with_policy
from metarl.experiment.training_section import TrainingConfig
from metarl.meta_learners.registry import Registered, find_meta_learner
from metarl.policies.registry import POLICIES, find_policy
from metarl.supervised.names import NAMES, settings_of
from metarl.supervised.section import SupervisedTraining


@dataclass(frozen=True)
class Kind:
    """What the names in a config decide.

    Args:
        sections: the dataclasses of its sections; `name` is no field of those that have one.
        unread: keys that nothing reads with these names, whatever the values.
        policy, meta_learner: the names; None of a config that does not meta-learn a policy.
        supervised: of a config that learns labelled examples the names of its sections.
    """

    sections: dict[str, type[Any]]
    unread: Unread
    policy: str | None = None
    meta_learner: str | None = None
    supervised: Mapping[str, str] | None = None


def meta_kind(meta_learner: str, policy: str) -> Kind:
    """The kind of a config with a meta-learner and a policy.

    Raises:
        ConfigError: no such meta-learner or policy, or a policy that the learner does not take.
    """
    registered, policy_class = find_meta_learner(meta_learner), find_policy(policy)
    try:
        registered.check_policy(policy_class)
    except ConfigError as error:
        raise ConfigError(f"{error} with meta_learner.name {meta_learner}") from error
    sections: dict[str, type[Any]] = {
        "environment": EnvironmentConfig,
        "policy": policy_keys(policy_class),
        "sampling": SamplingConfig,
        "meta_learner": registered.config,
        "training": TrainingConfig,
    }
    unread = dict.fromkeys(getattr(registered.config, "unread", ()), f"meta_learner.name {meta_learner}")
    return Kind(sections, {**unread, **unread_with_policy(policy, policy_class)}, policy, meta_learner)


def scratch_kind() -> Kind:
    """The kind of a config that learns from scratch."""
    sections: dict[str, type[Any]] = {
        "environment": EnvironmentConfig,
        "policy": NetworkConfig,
        "sampling": SamplingConfig,
        "from_scratch": ScratchConfig,
        "training": TrainingConfig,
    }
    return Kind(sections, dict.fromkeys(ScratchConfig.unread, "from_scratch"))


def supervised_kind(names: Mapping[str, str]) -> Kind:
    """The kind of a config that learns labelled examples.

    Args:
        names: of its data, network and learner.

    Raises:
        ConfigError: there is no such one.
    """
    named = {section: settings_of(section, names[section]) for section in NAMES}
    unread = {
        key: f"{section}.name {names[section]}"
        for section, settings in named.items()
        for key in getattr(settings, "unread", ())
    }
    return Kind({**named, "training": SupervisedTraining}, unread, supervised=names)


def take_kind(values: dict[str, Any], words: list[str]) -> Kind:
    """The kind of a config; takes the names in it out of the values and the words.

    Raises:
        ConfigError: no such meta-learner or policy, or a policy that the learner does not take.
        ValueError: a section that is none, or two kinds of learning.
    """
    given = {*values, *(word[2:].partition(".")[0] for word in words if word.startswith("--"))}
    for section in given & {"from_scratch", "learner"}:
        if "meta_learner" in given:
            raise ValueError(f"{section}: expected this section or meta_learner, got both")
    if "learner" in given:
        return supervised_kind({name: take_name(values, words, name) for name in NAMES})
    if "from_scratch" in given:
        return scratch_kind()
    meta_learner = take_name(values, words, "meta_learner")
    policy = take_name(values, words, "policy", _default_policy(find_meta_learner(meta_learner)))
    return meta_kind(meta_learner, policy)


def _default_policy(registered: Registered) -> str:
    """The first registered policy that a learner takes."""
    return next((name for name, policy in POLICIES.items() if registered.takes(policy)), next(iter(POLICIES)))
