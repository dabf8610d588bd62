"""A training run in its folder: started, or resumed exactly where it stopped."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from metarl.build import Experiment
from metarl.config import CONFIG, ExperimentConfig, load_run_config, save_run_config
from metarl.errors import RunError
from metarl.starting_point import initial_state
from metarl.training.checkpoint import CHECKPOINT, POLICY, Checkpoint, load_checkpoint
from metarl.training.evaluation import AdaptationCurve
from metarl.training.logging import PROGRESS, make_logger
from metarl.training.loop import Training, train
from metarl.training.results import HELD_OUT, new_evaluation, write_held_out_task, write_results

CHANGEABLE = {
    "run_dir",
    "sampling.num_threads",
    "training.iterations",
    "training.environment_steps",
    "training.checkpoint_every",
    "training.snapshot_every",
    "training.threads",
    "training.table_every",
    "training.evaluate_every",
    "training.evaluation_tasks",
    "training.evaluation_episodes",
    "training.evaluation_steps",
    # Of learning from scratch, which keeps the results of every such setting.
    "meta_learner.environment_steps",
    "meta_learner.evaluation_interval",
    "meta_learner.deterministic",
}
"""Settings that may differ at a resume without changing what is learned."""


@dataclass(frozen=True)
class Reporter:
    """Where a run shows itself: a line of the table, and an iteration's metrics."""

    line: Callable[[str], None]
    iteration: Callable[[dict[str, float]], None]


def prepare_run(config: ExperimentConfig, resume: bool, experiment: Experiment) -> Checkpoint:
    """Makes the run folder, or reads its checkpoint; returns where to start.

    Raises:
        RunError: the folder holds another run, cannot be written, or its checkpoint is damaged.
        ConfigError: `policy.start_from` is no policy, or one that does not fit.
    """
    if find_run(config, resume) and (Path(config.run_dir) / CHECKPOINT).is_file():
        make_run_folder(config)
        return _on_device(load_checkpoint(Path(config.run_dir)), experiment.device)
    state = initial_state(experiment)
    make_run_folder(config)
    return _on_device(Checkpoint(state, 0, 0), experiment.device)


def find_run(config: ExperimentConfig, resume: bool) -> bool:
    """Whether the run folder holds the run to resume; it then holds no other, and none to overwrite.

    Raises:
        RunError: the folder holds a run that is not to be resumed, another run, or something else.
    """
    run_dir = Path(config.run_dir)
    if resume and (run_dir / CONFIG).is_file():
        if (run_dir / POLICY).is_file() and not (run_dir / PROGRESS).is_file():
            raise RunError(f"run_dir: expected a run to resume, found a saved policy in {run_dir}")
        _check_same(load_run_config(run_dir), config)
        return True
    if resume and run_dir.exists() and any(path.suffix != ".partial" for path in run_dir.iterdir()):
        raise RunError(f"run_dir: expected a run to resume, found none in {run_dir}")
    if any((run_dir / name).exists() for name in (CONFIG, CHECKPOINT, POLICY, PROGRESS)):
        raise RunError(
            f"run_dir: {run_dir} already holds a run; go on with it by --resume true, or choose another "
            "folder by --run_dir DIR"
        )
    return False


def make_run_folder(config: ExperimentConfig) -> None:
    """Makes the run folder where there is none, and writes the config into it.

    Raises:
        RunError: it cannot be written.
    """
    run_dir = Path(config.run_dir)
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        if not os.access(run_dir, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
        save_run_config(run_dir, config)
    except OSError as error:
        raise RunError(f"run_dir: expected a folder to write to, got {run_dir}: {error.strerror}") from error


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


def _check_same(saved: ExperimentConfig, given: ExperimentConfig) -> None:
    old, new = _flat(saved.as_dict()), _flat(given.as_dict())
    changed = [key for key in {**old, **new} if old.get(key) != new.get(key) and key not in CHANGEABLE]
    if changed:
        key = changed[0]
        raise RunError(
            f"{key}: expected {old.get(key)!r}, as the run to resume was started with, got {new.get(key)!r}; "
            "give the same config, or start a new run with --run_dir DIR"
        )


def _flat(section: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in section.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def _on_device(checkpoint: Checkpoint, device: torch.device) -> Checkpoint:
    state = checkpoint.state
    moved = type(state)(
        {name: value.to(device) for name, value in state.parameters.items()},
        {name: value.to(device) for name, value in state.optimiser.items()},
    )
    return Checkpoint(moved, checkpoint.iteration, checkpoint.environment_steps)
