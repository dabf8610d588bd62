"""The training loop: sample, adapt, resample, update, log, save."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from metarl_envs.foreign.foreign_vector_env import ForeignEnvError
from metarl_envs.tasks import Tasks
from stable_baselines3.common.logger import Logger

from metarl.adaptation.evaluation import AdaptationCurve
from metarl.adaptation.faults import name_fault
from metarl.adaptation.meta_batch import collect_meta_batch
from metarl.compute.task_map import TaskMap
from metarl.errors import NonFiniteError, TrainingError
from metarl.meta_learners.learner import MetaLearner
from metarl.policies.policy import Policy
from metarl.rollouts.advantages import AdvantageConfig
from metarl.rollouts.random_keys import ROLLOUTS, TASKS
from metarl.rollouts.sampler import RolloutSampler
from metarl.runs.checkpoint import Checkpoint, save_checkpoint, save_snapshot
from metarl.runs.files import CHECKPOINT
from metarl.runs.progress import ITERATION
from metarl.training.settings import TrainingConfig


class TaskSource(Protocol):
    """A distribution over tasks: a `TaskSpace`, or an adapter of an environment."""

    def sample(self, n: int, rng: np.random.Generator) -> Tasks: ...


@dataclass(frozen=True)
class Training:
    """What the loop joins: everything it uses arrives here."""

    environment_name: str
    task_source: TaskSource
    sampler: RolloutSampler
    policy: Policy
    learner: MetaLearner
    task_map: TaskMap
    advantages: AdvantageConfig
    tasks_per_iteration: int
    seed: int


def train(
    training: Training,
    start: Checkpoint,
    config: TrainingConfig,
    run_dir: Path,
    logger: Logger,
    progress: Callable[[dict[str, float]], None],
    evaluate: Callable[[Checkpoint], AdaptationCurve],
) -> Checkpoint:
    """Trains from a checkpoint until `config.is_done`; an interrupt keeps every finished iteration.

    Raises:
        TrainingError: something was not finite, or an environment failed; the message names environment,
            task and iteration, and the last checkpoint is that of the iteration before.
    """
    current = saved = start
    if config.snapshot_every and not start.iteration:
        save_snapshot(run_dir, start)
    try:
        while not config.is_done(current.iteration, current.environment_steps):
            finished = _iterate(training, current, logger, progress)
            fault = None
            if config.evaluate_every and finished.iteration % config.evaluate_every == 0:
                try:
                    for step, value in enumerate(evaluate(finished).mean):
                        logger.record(f"evaluation/return_after_{step}_steps", float(value))
                except TrainingError as error:
                    fault = error
            final = config.is_done(finished.iteration, finished.environment_steps)
            logger.record("final", final, exclude=("csv", "tensorboard"))
            if config.is_snapshot(current.environment_steps, finished.environment_steps):
                save_snapshot(run_dir, finished)
            logger.dump(current.iteration)
            # Only now: an interrupt must not count an iteration whose row is not written.
            current = finished
            if fault is not None:
                raise fault
            if current.iteration % config.checkpoint_every == 0:
                save_checkpoint(run_dir, current)
                saved = current
    except ForeignEnvError as error:
        kept = f"go on from {run_dir / CHECKPOINT} with --resume true" if current.iteration else "start again"
        where = f"{training.environment_name}, iteration {current.iteration}"
        raise TrainingError(f"{where}: {error}; {kept}") from error
    finally:
        if current is not saved or not (run_dir / CHECKPOINT).exists():
            save_checkpoint(run_dir, current)
        logger.close()
    return current


def _iterate(
    training: Training, current: Checkpoint, logger: Logger, progress: Callable[[dict[str, float]], None]
) -> Checkpoint:
    iteration, started = current.iteration, time.perf_counter()
    rng = np.random.default_rng([training.seed, iteration, TASKS])
    tasks = training.task_source.sample(training.tasks_per_iteration, rng)
    try:
        collected = collect_meta_batch(
            training.sampler,
            training.policy,
            training.learner,
            training.task_map,
            training.advantages,
            current.state.parameters,
            tasks,
            (training.seed, iteration, ROLLOUTS),
        )
        sampled = time.perf_counter()
        update = training.learner.update(current.state, collected.batch)
    except NonFiniteError as error:
        where = f"iteration {iteration}"
        raise name_fault(error, training.environment_name, tasks, where) from error
    steps = current.environment_steps + collected.environment_steps
    metrics = {
        ITERATION: iteration,
        **collected.metrics,
        "rollout/environment_steps": steps,
        **{f"update/{name}": value for name, value in update.metrics.items()},
        "time/update_seconds": time.perf_counter() - sampled,
        "time/iteration_seconds": time.perf_counter() - started,
    }
    for name, value in metrics.items():
        logger.record(name, value)
    rejection = update.rejection or ""
    logger.record("update/rejection", rejection, exclude=() if rejection else ("tensorboard",))
    progress(metrics)
    return replace(current, state=update.state, iteration=iteration + 1, environment_steps=steps)
