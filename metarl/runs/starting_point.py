"""Where training starts: at random parameters, or at those of a policy that was trained before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from metarl.errors import ConfigError, MetaRLError
from metarl.experiment.build import Experiment
from metarl.experiment.names import named_modules
from metarl.math.parameters import Parameters
from metarl.meta_learners.learner import LearnerState
from metarl.policies.context import plain_network, start_at, without_context
from metarl.policies.stable_baselines import from_sb3
from metarl.runs.meta_policy import load
from metarl.runs.run_config import read_mapping


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
        plain = _read(Path(config.policy.start_from), experiment)
    except (MetaRLError, ValueError) as error:
        raise ConfigError(f"policy.start_from: {error}") from error
    return replace(state, parameters=start_at(state.parameters, plain))


def _read(path: Path, experiment: Experiment) -> Parameters:
    if not path.is_dir():
        return from_sb3(path, experiment.policy)
    own = experiment.config.as_dict()
    for key, found_name in named_modules(read_mapping(path)).items():
        section, name = key.split(".")
        if found_name != own[section][name]:
            raise ValueError(
                f"expected a run with {key} {own[section][name]}, got {found_name!r} in {path}, whose module "
                "would be imported; give both runs the same"
            )
    source = load(path, trust=True)
    trained, policy = source.experiment, source.experiment.policy
    found, wanted = (
        f"{plain_network(one.policy).architecture} with actions in {one.action_space}"
        for one in (trained, experiment)
    )
    if found != wanted:
        raise ValueError(
            f"expected a policy {wanted}, got {found} in {path}; give both runs the same environment, "
            "policy.hidden_sizes and policy.activation"
        )
    plain = without_context(policy, source.parameters)
    return {**plain, "log_std": plain_network(policy).log_std(plain)}
