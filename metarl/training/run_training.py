"""A training run in its folder: started, or resumed exactly where it stopped."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from metarl.adaptation.evaluation import AdaptationCurve
from metarl.experiment.build import Experiment
from metarl.experiment.config import ExperimentConfig
from metarl.meta_learners.learner import LearnerState
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
from metarl.runs.results import HELD_OUT, new_evaluation, write_held_out_task, write_results
from metarl.runs.starting_point import initial_state
from metarl.training.logging import make_logger
from metarl.training.loop import Training, train


@dataclass(frozen=True)
class Reporter:
    """Where a run shows itself: a line of the table, and an iteration's metrics."""

    line: Callable[[str], None]
    iteration: Callable[[dict[str, float]], None]


def prepare_run(config: ExperimentConfig, resume: bool, experiment: Experiment) -> Checkpoint:
    """Makes the run folder, or reads its checkpoint; returns where to start.

    Raises:
        RunError: the folder holds another run, cannot be written, or its checkpoint is lost, damaged or
            another run's.
        ConfigError: `policy.start_from` is no policy, or one that does not fit; or the policy is of a kind
            that no file can describe.
    """
    run_dir = Path(config.run_dir)
    resumed = find_run(config, resume)
    if resumed:
        check_not_lost(run_dir)
    if resumed and (run_dir / CHECKPOINT).is_file():
        found = load_checkpoint(run_dir)
        start = _made_agree(run_dir, found, make_run_folder(config), describe(experiment))
    else:
        state = initial_state(experiment)
        (run_dir / PROGRESS).unlink(missing_ok=True)
        description = describe(experiment)
        start = Checkpoint(state, 0, 0, make_run_folder(config), description)
    return _on_device(start, experiment.device)


def run_training(
    experiment: Experiment, start: Checkpoint, reporter: Reporter
) -> tuple[Checkpoint, AdaptationCurve]:
    """Trains to the config's last iteration or environment step, then evaluates on held-out tasks.

    The run folder keeps the evaluation, and the first of its tasks.

    Raises:
        TrainingError: something was not finite, or an environment failed.
    """
    final = train_run(experiment, start, reporter)
    curve = evaluate_run(experiment, final)
    config = experiment.config
    protocol = {
        "episodes": config.training.evaluation_episodes,
        "seed": config.seed,
        "deterministic": False,
        "iterations": final.iteration,
        "environment_steps": final.environment_steps,
    }
    run_dir = Path(config.run_dir)
    write_results(new_evaluation(run_dir), {HELD_OUT: curve}, protocol)
    write_held_out_task(run_dir, curve.tasks)
    return final, curve


def train_run(experiment: Experiment, start: Checkpoint, reporter: Reporter) -> Checkpoint:
    """Trains to the config's last iteration or environment step.

    Raises:
        TrainingError: something was not finite, or an environment failed.
    """
    config = experiment.config
    run_dir = Path(config.run_dir)
    # Threads take whole tasks (TaskMap); threads inside every small operation would only wait for them.
    torch.set_num_threads(1)
    logger = make_logger(run_dir, start.iteration, reporter.line, config.training.table_every)
    sampler = experiment.sampler(config.sampling.tasks, config.sampling.episodes)
    training = Training(
        environment_name=config.environment.id,
        task_source=experiment.task_source,
        sampler=sampler,
        policy=experiment.policy,
        learner=experiment.learner,
        task_map=experiment.task_map,
        advantages=config.sampling.advantages,
        tasks_per_iteration=config.sampling.tasks,
        seed=config.seed,
    )
    with closing(sampler):
        return train(
            training,
            start,
            config.training,
            run_dir,
            logger,
            reporter.iteration,
            lambda checkpoint: evaluate_run(experiment, checkpoint),
        )


def evaluate_run(experiment: Experiment, checkpoint: Checkpoint) -> AdaptationCurve:
    """The adaptation curve of a checkpoint on the config's held-out tasks.

    Raises:
        TrainingError: something was not finite, or an environment failed.
    """
    config = experiment.config
    settings = config.training
    tasks = experiment.held_out_tasks(settings.evaluation_tasks, config.seed)
    return experiment.evaluate(
        checkpoint.state.parameters,
        tasks,
        episodes=settings.evaluation_episodes,
        steps=settings.evaluation_steps,
        seed=config.seed,
        where=f"evaluation after {checkpoint.iteration} iterations",
    )[0]


def format_curve(curve: AdaptationCurve) -> str:
    """The table of returns by inner step, for the console."""
    width = min(shutil.get_terminal_size().columns, 60)
    rows = [f"{'inner steps':>12}{'mean return':>14}{'95 % interval':>24}", "-" * width]
    for step, (mean, half) in enumerate(zip(curve.mean, curve.half_width, strict=True)):
        interval = "" if half != half else f"[{mean - half:.2f}, {mean + half:.2f}]"
        rows.append(f"{step:>12}{mean:>14.2f}{interval:>24}")
    return "\n".join(rows)


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


def _on_device(checkpoint: Checkpoint, device: torch.device) -> Checkpoint:
    state = checkpoint.state
    moved = LearnerState(
        {name: value.to(device) for name, value in state.parameters.items()},
        {name: value.to(device) for name, value in state.optimiser.items()},
    )
    return replace(checkpoint, state=moved)
