"""A training run in its folder: started, or resumed exactly where it stopped."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.utils._pytree import tree_map

from metarl.adaptation.evaluation import AdaptationCurve
from metarl.errors import ConfigError, RunError, TrainingError
from metarl.experiment.build import Experiment
from metarl.experiment.environments import list_name
from metarl.experiment.experiments import ExperimentConfig
from metarl.meta_learners.learner import LearnerState, named_tensors, with_tensors
from metarl.runs.checkpoint import (
    Checkpoint,
    load_checkpoint,
    load_snapshots,
    save_checkpoint,
    save_policy,
    save_snapshot,
)
from metarl.runs.description import PolicyDescription, describe
from metarl.runs.files import CHECKPOINT, PROGRESS
from metarl.runs.folder import check_not_lost, find_run, make_run_folder
from metarl.runs.results import new_evaluation, write_held_out_task, write_results
from metarl.runs.starting_point import initial_state
from metarl.runs.tables import interval_table
from metarl.training.films import check_films, film_recorders
from metarl.training.held_out import HeldOut
from metarl.training.loop import Training, train
from metarl.training.observers import Observer, observed, show_evaluation
from metarl.training.recorders import CsvRecorder, SnapshotRecorder
from metarl.training.tensorboard.recorder import TensorBoardRecorder


def prepare_run(config: ExperimentConfig, resume: bool, experiment: Experiment) -> Checkpoint:
    """Makes the run folder, or reads its checkpoint; returns where to start. The first rank tells the others.

    Raises:
        RunError: the folder holds another run, cannot be written, or its checkpoint is lost, damaged or
            another run's.
        ConfigError: `policy.start_from` is no policy, or one that does
            not fit; the policy is of a kind that no file can describe; or films cannot be drawn.
    """
    reduction = experiment.task_map.reduction
    start = reduction.agree(_prepared(config, resume, experiment) if reduction.first else None)
    assert start is not None
    return _on_device(start, experiment.device)


def _prepared(config: ExperimentConfig, resume: bool, experiment: Experiment) -> Checkpoint:
    run_dir = Path(config.run_dir)
    resumed = find_run(config, resume)
    if resumed:
        check_not_lost(run_dir)
    check_films(experiment)
    if resumed and (run_dir / CHECKPOINT).is_file():
        found = load_checkpoint(run_dir, with_replay=True)
        agreed = _resumed(found, experiment)
        return _made_agree(run_dir, agreed, make_run_folder(config), describe(experiment))
    state = initial_state(experiment)
    _check_state(state)
    (run_dir / PROGRESS).unlink(missing_ok=True)
    description = describe(experiment)
    return Checkpoint(state, 0, 0, make_run_folder(config), description)


def run_training(
    experiment: Experiment, start: Checkpoint, observers: Sequence[Observer] = ()
) -> tuple[Checkpoint, AdaptationCurve]:
    """Evaluates, trains until the config's end or an observer's, and evaluates again.

    The run folder keeps the last evaluation, and the first of its tasks. A fault in the first one, of the
    policy as it starts, is the observers' to tell: training goes on. A resumed run does without it.

    Of several ranks the first one has observers, and writes.

    Raises:
        TrainingError: something was not finite, or an environment failed.
    """
    config = experiment.config
    _one_thread_an_operation()
    watching = _watching(experiment, observers)
    with observed(watching.observers, start), observed(watching.keepers, start):
        everybody = (*watching.keepers, *watching.observers)
        if not start.iteration and not config.training.is_done(0, 0):
            try:
                show_evaluation(everybody, watching.held_out(start))
            except TrainingError as error:
                for observer in everybody:
                    observer.on_fault(start, error)
        final = _train(experiment, start, watching)
        evaluated = watching.held_out(final, final=True)
        curve = evaluated.curve
        show_evaluation(watching.keepers, evaluated)
        if experiment.task_map.reduction.first:
            run_dir = Path(config.run_dir)
            protocol = evaluation_protocol(config, final)
            name = list_name(experiment.task_distribution, curve.tasks)
            write_results(new_evaluation(run_dir), {name: curve}, protocol)
            write_held_out_task(run_dir, curve.tasks)
        show_evaluation(watching.observers, evaluated)
    return final, curve


def evaluation_protocol(config: ExperimentConfig, final: Checkpoint) -> dict[str, Any]:
    """How the policy at the end of a run is measured, as the run folder keeps it."""
    return {
        "episodes": config.training.evaluation_episodes,
        "seed": config.seed,
        "deterministic": False,
        "iterations": final.iteration,
        "environment_steps": final.environment_steps,
    }


def train_run(experiment: Experiment, start: Checkpoint, observers: Sequence[Observer] = ()) -> Checkpoint:
    """Trains until the config's last iteration or environment step, or an observer's end.

    Raises:
        TrainingError: something was not finite, or an environment failed.
    """
    _one_thread_an_operation()
    watching = _watching(experiment, observers)
    with observed(watching.observers, start), observed(watching.keepers, start):
        return _train(experiment, start, watching)


def format_curve(curve: AdaptationCurve) -> str:
    """The table of returns by inner step, for the console."""
    return interval_table(curve.points, curve.intervals).text()


def _one_thread_an_operation() -> None:
    """Threads take whole tasks (`TaskMap`); threads inside every small operation would only wait for them."""
    torch.set_num_threads(1)


class _Watching(NamedTuple):
    """What keeps a run and what watches it, on the first rank; evaluations on held-out tasks, on all."""

    keepers: Sequence[Observer]
    observers: Sequence[Observer]
    held_out: HeldOut


def _watching(experiment: Experiment, observers: Sequence[Observer]) -> _Watching:
    if not experiment.task_map.reduction.first:
        return _Watching((), (), HeldOut(experiment))
    config, board = experiment.config, TensorBoardRecorder(experiment)
    run_dir, films = Path(config.run_dir), film_recorders(experiment, board)
    # What cannot be read anew comes before the row that says it is there.
    keepers = (SnapshotRecorder(run_dir, config.training), CsvRecorder(run_dir), board, *films)
    return _Watching(keepers, observers, HeldOut(experiment))


def _train(experiment: Experiment, start: Checkpoint, watching: _Watching) -> Checkpoint:
    config = experiment.config
    share = experiment.task_map.reduction.share(config.sampling.tasks)
    tasks = share.stop - share.start
    sampler = experiment.sampler(tasks, config.sampling.episodes, first_task=share.start)
    training = Training(
        environment_name=config.environment.id,
        task_distribution=experiment.task_distribution,
        walk=experiment.walk(sampler),
        tasks_per_iteration=config.sampling.tasks,
        seed=config.seed,
        training_tasks=int(config.sampling.training_tasks),
    )
    with closing(sampler):
        run_dir, (keepers, observers, held_out) = Path(config.run_dir), watching
        return train(training, start, config.training, run_dir, keepers, observers, held_out)


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
    fresh = experiment.learner.start(parameters)
    fresh = replace(fresh, parameters=parameters, replay=found.state.replay or fresh.replay)
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
