"""Where training starts: at random parameters, or at those of a policy that was trained before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from metarl.errors import ConfigError, MetaRLError
from metarl.experiment.build import Experiment
from metarl.math.parameters import Parameters
from metarl.meta_learners.learner import LearnerState
from metarl.policies.context import plain_network, start_at, without_context
from metarl.policies.stable_baselines import from_sb3
from metarl.runs.load import load
from metarl.runs.run_config import load_run_config
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
        plain = _read(Path(config.policy.start_from), experiment)
    except (MetaRLError, ValueError) as error:
        raise ConfigError(f"policy.start_from: {error}") from error
    return replace(state, parameters=start_at(state.parameters, plain))


def _read(path: Path, experiment: Experiment) -> Parameters:
    if not (path.is_dir() or is_policy_file(path)):
        return from_sb3(path, experiment.policy)
    source = load(path, trust=path.is_dir() and _names_no_other_module(path, experiment))
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


def _names_no_other_module(run_dir: Path, experiment: Experiment) -> bool:
    """Whether the environment of a run is that of the experiment, which has imported it."""
    return load_run_config(run_dir, trust=True).environment.id == experiment.config.environment.id
