"""Where training starts: at random parameters, or at those of a policy that was trained before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from metarl.errors import ConfigError, MetaRLError, RunError
from metarl.experiment.build import Experiment
from metarl.experiment.names import named_modules
from metarl.math.parameters import Parameters
from metarl.meta_learners.learner import LearnerState
from metarl.policies.context import plain_network, start_at, without_context
from metarl.policies.stable_baselines import from_sb3
from metarl.runs.files import CONFIG
from metarl.runs.load import load
from metarl.runs.places import find_place
from metarl.runs.run_config import read_mapping
from metarl.runs.saved import is_policy_file


def initial_state(experiment: Experiment) -> LearnerState:
    """The learner's state before the first iteration; learned step sizes and contexts are the learner's.

    Raises:
        ConfigError: `policy.start_from` is no policy, or one that does not fit.
    """
    config = experiment.config
    state = experiment.learner.initial_state(torch.Generator().manual_seed(config.seed))
    if not config.policy.start_from:
        return state
    try:
        plain = _read(find_place(config.policy.start_from), experiment)
    except (MetaRLError, ValueError) as error:
        raise ConfigError(f"policy.start_from: {error}") from error
    return replace(state, parameters=start_at(state.parameters, plain))


def _read(path: Path, experiment: Experiment) -> Parameters:
    if not (path.is_dir() or is_policy_file(path)):
        return from_sb3(path, experiment.policy)
    others = _other_modules(path, experiment)
    try:
        source = load(path, trust=not others)
    except RunError as error:
        if not others:
            raise
        raise ValueError(f"{error}; or give both runs the same {', '.join(others)}") from error
    found, wanted = (
        f"{plain_network(one.policy).architecture} with actions in {one.action_space}"
        for one in (source, experiment)
    )
    if found != wanted:
        raise ValueError(
            f"expected a policy {wanted}, got {found} in {path}; give both runs the same environment, "
            "policy.hidden_sizes and policy.activation"
        )
    plain = without_context(source.policy, source.parameters)
    return {**plain, "log_std": plain_network(source.policy).log_std(plain)}


def _other_modules(path: Path, experiment: Experiment) -> list[str]:
    """The keys by which a run folder names modules other than those that the experiment has imported."""
    if not (path / CONFIG).is_file():
        return []
    own = experiment.config.as_dict()
    found = named_modules(read_mapping(path)).items()
    return [key for key, name in found if own[key.split(".")[0]][key.split(".")[1]] != name]
