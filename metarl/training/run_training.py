"""A training run in its folder: started, or resumed exactly where it stopped."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import torch

from metarl.adaptation.evaluation import AdaptationCurve
from metarl.errors import TrainingError
from metarl.experiment.build import Experiment
from metarl.experiment.environments import list_name
from metarl.experiment.experiments import ExperimentConfig
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.results import new_evaluation, write_held_out_task, write_results
from metarl.runs.tables import interval_table
from metarl.training.films import film_recorders
from metarl.training.first_step import with_first_step
from metarl.training.held_out import HeldOut
from metarl.training.loop import Training, train
from metarl.training.observers import Observer, observed, show_evaluation
from metarl.training.recorders import CsvRecorder, SnapshotRecorder
from metarl.training.tensorboard.recorder import TensorBoardRecorder


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
    start = with_first_step(experiment, start)
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
    start = with_first_step(experiment, start)
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
