"""Where a training starts: with a fresh run folder, or from the checkpoint of one."""

from __future__ import annotations

from dataclasses import replace
from itertools import repeat
from pathlib import Path

import torch
from torch.utils._pytree import tree_map

from metarl.errors import ConfigError, RunError
from metarl.experiment.build import Experiment
from metarl.experiment.experiments import ExperimentConfig
from metarl.meta_learners.learner import LearnerState, named_tensors, with_tensors
from metarl.rollouts.replay import Replay
from metarl.runs.checkpoint import (
    Checkpoint,
    SavedRows,
    load_checkpoint,
    load_snapshots,
    save_checkpoint,
    save_policy,
    save_snapshot,
    saved_rows,
)
from metarl.runs.description import PolicyDescription, describe
from metarl.runs.files import CHECKPOINT, PROGRESS
from metarl.runs.folder import check_not_lost, find_run, make_run_folder
from metarl.runs.starting_point import initial_state
from metarl.training.films import check_films


def prepare_run(config: ExperimentConfig, resume: bool, experiment: Experiment) -> Checkpoint:
    """Makes the run folder, or reads its checkpoint; returns where to start. The first rank tells the others.

    Raises:
        RunError: the folder holds another run, cannot be written, or its checkpoint is lost, damaged or
            another run's.
        ConfigError: `policy.start_from` is no policy, or one that does
            not fit; the policy is of a kind that no file can describe; or films cannot be drawn.
    """
    reduction, run_dir = experiment.task_map.reduction, Path(config.run_dir)
    start = reduction.agree(_found(config, resume, experiment) if reduction.first else None)
    assert start is not None
    start = replace(start, state=_with_rows(start.state, run_dir, experiment))
    ties = reduction.agree(_made(config, start, describe(experiment)) if reduction.first else None)
    assert ties is not None
    return _on_device(replace(start, config_digest=ties[0], description=ties[1]), experiment.device)


def _found(config: ExperimentConfig, resume: bool, experiment: Experiment) -> Checkpoint:
    """Where to start, without rows to replay; nothing is written yet."""
    run_dir = Path(config.run_dir)
    resumed = find_run(config, resume)
    if resumed:
        check_not_lost(run_dir)
    check_films(experiment)
    if resumed and (run_dir / CHECKPOINT).is_file():
        return _resumed(load_checkpoint(run_dir), experiment)
    state = initial_state(experiment)
    _check_state(state)
    return Checkpoint(state, 0, 0, None, describe(experiment))


def _with_rows(state: LearnerState, run_dir: Path, experiment: Experiment) -> LearnerState:
    """The state with the rows to replay that the run folder has, of which every rank takes its own.

    The first rank reads them, a file at a time: the others may not see the folder.

    Raises:
        RunError: a file is missing or damaged, or holds rows of another shape.
    """
    reduction = experiment.task_map.reduction
    saved = saved_rows(run_dir) if reduction.first else SavedRows(0, repeat({}))
    fresh, dropped = experiment.learner.start(state.parameters).replay, reduction.agree(saved.dropped)
    replay = fresh and fresh.after(dropped)
    while piece := reduction.agree(next(saved.pieces, {})):
        if replay is None:
            replay = Replay({name: value[:0] for name, value in piece.items()}).after(dropped)
        try:
            replay = replay.append(piece).saved()
        except ValueError as error:
            raise RunError(f"{run_dir}: its rows to replay: {error}; put back the run's own files") from error
    return replace(state, replay=replay)


def _made(
    config: ExperimentConfig, start: Checkpoint, description: PolicyDescription
) -> tuple[str, PolicyDescription]:
    """Makes the run folder, or its files agree; returns what ties checkpoints to it."""
    run_dir = Path(config.run_dir)
    resumed = (run_dir / CHECKPOINT).is_file()
    if not resumed:
        (run_dir / PROGRESS).unlink(missing_ok=True)
    digest = make_run_folder(config)
    if not resumed:
        return digest, description
    agreed = _made_agree(run_dir, start, digest, description)
    return digest, agreed.description or description


def _made_agree(run_dir: Path, found: Checkpoint, digest: str, description: PolicyDescription) -> Checkpoint:
    """Writes the policy as it is in the checkpoint; ties files of earlier versions and describes them."""
    if found.config_digest == digest and found.description is not None:
        save_policy(run_dir, found.state.parameters, digest, found.description)
        return found
    for snapshot in load_snapshots(run_dir):
        save_snapshot(run_dir, replace(snapshot, config_digest=digest, description=description))
    agreed = replace(found, config_digest=digest, description=description)
    save_checkpoint(run_dir, agreed)
    return agreed


def _check_state(state: LearnerState) -> None:
    """Refuses before training what a checkpoint could not hold."""
    try:
        named_tensors(state.optimiser)
    except TypeError as error:
        raise ConfigError(f"meta_learner: {error}") from error


def _resumed(found: Checkpoint, experiment: Experiment) -> Checkpoint:
    """The checkpoint whose optimiser's tensors are in the learner's own form."""
    parameters, named = found.state.parameters, named_tensors(found.state.optimiser)
    fresh = replace(experiment.learner.start(parameters), parameters=parameters, replay=None)
    if not named and (found.description is None or not found.iteration):
        # Version 0.1.0 kept no optimiser before its first accepted update.
        return replace(found, state=fresh)
    try:
        optimiser = with_tensors(fresh.optimiser, named)
    except KeyError as error:
        raise RunError(f"{CHECKPOINT}: expected the state of this meta-learner, found no {error}") from error
    return replace(found, state=replace(fresh, optimiser=optimiser))


def _on_device(checkpoint: Checkpoint, device: torch.device) -> Checkpoint:
    """On the device but for rows to replay, which stay on the CPU."""
    state = checkpoint.state
    parameters, optimiser = tree_map(lambda tensor: tensor.to(device), (state.parameters, state.optimiser))
    return replace(checkpoint, state=replace(state, parameters=parameters, optimiser=optimiser))
