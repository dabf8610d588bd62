"""The training loop: sample, adapt, resample, update, log, save."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from jsonargparse.typing import NonNegativeInt, PositiveInt
from metarl_envs.foreign.foreign_vector_env import ForeignEnvError
from metarl_envs.tasks import Tasks
from stable_baselines3.common.logger import Logger

from metarl.errors import NonFiniteError, TrainingError
from metarl.math.task_map import TaskMap
from metarl.meta_learners.learner import MetaLearner
from metarl.policies.gaussian_mlp import Policy
from metarl.sampling.advantages import AdvantageConfig
from metarl.sampling.rollout_sampler import RolloutSampler
from metarl.training.checkpoint import CHECKPOINT, Checkpoint, save_checkpoint, save_snapshot
from metarl.training.evaluation import AdaptationCurve
from metarl.training.logging import ITERATION
from metarl.training.meta_batch import collect_meta_batch

TASKS, ROLLOUTS, HELD_OUT_TASKS, EVALUATION, SCRATCH_LEARNING = 1, 2, 3, 4, 5
"""What a random key is for: [seed, iteration, purpose, ...]."""


@dataclass(frozen=True)
class TrainingConfig:
    """How long to train, and how often to do what.

    Args:
        iterations: outer updates in all; 0 leaves the policy as it starts.
        environment_steps: stops sooner, after the iteration that reaches so many; 0 for no bound.
        checkpoint_every: iterations a checkpoint.
        snapshot_every: environment steps between policies that are kept beside the last one; 0 for none.
        table_every: iterations a line of the console table.
        evaluate_every: iterations an evaluation on held-out tasks; 0 for none.
        evaluation_tasks, evaluation_episodes, evaluation_steps: its tasks, the episodes a task and
            step, and inner steps.
        device: "auto" takes a GPU when there is one.
        tasks_at_once: tasks that a thread of the update works on together: fewer need less memory; 0 for
            a few on a CPU and all on a GPU. Results do not depend on it but for rounding.
        threads: that the update spreads tasks over; 0 for one a CPU. Results do not depend on it.
    """

    iterations: NonNegativeInt = 100
    environment_steps: NonNegativeInt = 0
    checkpoint_every: PositiveInt = 1
    snapshot_every: NonNegativeInt = 0
    table_every: PositiveInt = 10
    evaluate_every: NonNegativeInt = 0
    evaluation_tasks: PositiveInt = 40
    evaluation_episodes: PositiveInt = 20
    evaluation_steps: PositiveInt = 3
    device: str = "auto"
    tasks_at_once: NonNegativeInt = 0
    threads: NonNegativeInt = 0

    def is_done(self, iteration: int, environment_steps: int) -> bool:
        """Whether training ends with so many iterations and environment steps done."""
        spent = bool(self.environment_steps) and environment_steps >= int(self.environment_steps)
        return spent or iteration >= int(self.iterations)

    def is_snapshot(self, before: int, environment_steps: int) -> bool:
        """Whether the policy after an iteration is kept, given the environment steps before and after it."""
        every = int(self.snapshot_every)
        return every > 0 and before // every < environment_steps // every


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
    return Checkpoint(update.state, iteration + 1, steps, current.config_digest)


def name_fault(error: NonFiniteError, environment_name: str, tasks: Tasks, where: str) -> TrainingError:
    """The fault with its environment, task and iteration, for a person."""
    task = {name: values[error.task_index].tolist() for name, values in tasks.items()}
    fault = (
        f"{environment_name}, task {json.dumps(task)}, {where}: expected finite numbers, got {error.what}; "
        "every iteration before it is kept"
    )
    of_the_learner = any(word in error.what for word in ("parameters", "gradient", "action"))
    advice = "; try a smaller meta_learner.inner_step_size, or if it went well at first a smaller outer step"
    return TrainingError(fault + advice * of_the_learner)
