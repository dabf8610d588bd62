"""The training loop: sample, adapt, resample, update, show, save."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from metarl_envs.foreign.foreign_vector_env import ForeignEnvError

from metarl.adaptation.evaluation import AdaptationCurve
from metarl.adaptation.faults import name_fault
from metarl.adaptation.meta_batch import collect_meta_batch
from metarl.adaptation.walk import Walk
from metarl.errors import NonFiniteError, TrainingError
from metarl.experiment.environments import TaskDistribution
from metarl.experiment.training_section import TrainingConfig
from metarl.experiment.training_tasks import draw_training_tasks
from metarl.rollouts.random_keys import ROLLOUTS
from metarl.rollouts.rollout import with_slots
from metarl.runs.checkpoint import Checkpoint, save_checkpoint
from metarl.runs.files import CHECKPOINT
from metarl.runs.uninterrupted import uninterrupted
from metarl.training.observers import Evaluated, Iteration, Observer, show_evaluation, show_iteration


@dataclass(frozen=True)
class Training:
    """What the loop joins: everything it uses arrives here.

    Args:
        training_tasks: in the list that tasks are taken from; 0 for fresh ones.
    """

    environment_name: str
    task_distribution: TaskDistribution
    walk: Walk
    tasks_per_iteration: int
    seed: int
    training_tasks: int = 0


def train(
    training: Training,
    start: Checkpoint,
    config: TrainingConfig,
    run_dir: Path,
    recorders: Sequence[Observer],
    observers: Sequence[Observer],
    evaluate: Callable[[Checkpoint], Evaluated],
) -> Checkpoint:
    """Trains from a checkpoint until `config.is_done` or an observer stops it.

    An interrupt, or an observer that fails, keeps every finished iteration.

    Every rank does the same with its own share of the tasks; the first one saves, and decides when to stop.

    Args:
        recorders: write what the run folder keeps of an iteration, after its evaluation; one that they all
            have is finished.
        observers: see finished iterations, and may stop the training.

    Raises:
        TrainingError: something was not finite, or an environment failed; the message names environment,
            task and iteration, and the last checkpoint is that of the iteration before.
    """
    current = saved = start
    going_on = True
    reduction = training.walk.task_map.reduction
    try:
        while going_on and not config.is_done(current.iteration, current.environment_steps):
            iteration, evaluated, fault = _iterate(training, current), None, None
            if config.evaluate_every and iteration.after.iteration % config.evaluate_every == 0:
                try:
                    evaluated = evaluate(iteration.after)
                    iteration = _with_evaluation(iteration, evaluated.curve)
                    show_evaluation(recorders, evaluated)
                except TrainingError as error:
                    fault = error
            for recorder in recorders:
                recorder.on_iteration(iteration)
            # Only now: an interrupt must not count an iteration whose row is not written.
            current = iteration.after
            going_on = reduction.agree(show_iteration(observers, iteration, evaluated))
            if fault is not None:
                raise fault
            if reduction.first and current.iteration % config.checkpoint_every == 0:
                current = saved = save_checkpoint(run_dir, current)
            del iteration, evaluated  # their episodes must not stand in memory beside the next ones
    except ForeignEnvError as error:
        kept = f"go on from {run_dir / CHECKPOINT} with --resume true" if current.iteration else "start again"
        where = f"{training.environment_name}, iteration {current.iteration}"
        raise TrainingError(f"{where}: {error}; {kept}") from error
    finally:
        if reduction.first and (current is not saved or not (run_dir / CHECKPOINT).exists()):
            with uninterrupted():
                save_checkpoint(run_dir, current)
    return current


def _iterate(training: Training, current: Checkpoint) -> Iteration:
    number, started = current.iteration, time.perf_counter()
    tasks, slots = draw_training_tasks(
        training.task_distribution,
        training.tasks_per_iteration,
        training.seed,
        number,
        training.training_tasks,
    )
    share = training.walk.task_map.reduction.share(training.tasks_per_iteration)
    own = {name: values[share] for name, values in tasks.items()}
    try:
        key = (training.seed, number, ROLLOUTS)
        collected = collect_meta_batch(training.walk, current.state.parameters, own, key)
        batch = collected.batch
        if slots is not None:
            batch = with_slots(batch, torch.from_numpy(slots[share]))
        sampled = time.perf_counter()
        update = training.walk.learner.update(current.state, batch)
    except NonFiniteError as error:
        where = f"iteration {number}"
        raise name_fault(error, training.environment_name, own, where) from error
    steps = current.environment_steps + collected.environment_steps
    metrics = {
        **collected.metrics,
        "rollout/environment_steps": steps,
        **{f"update/{name}": value for name, value in update.metrics.items()},
        "time/update_seconds": time.perf_counter() - sampled,
        "time/iteration_seconds": time.perf_counter() - started,
    }
    after = replace(current, state=update.state, iteration=number + 1, environment_steps=steps)
    return Iteration(tasks, current, after, batch, collected.returns, metrics, update.rejection)


def _with_evaluation(iteration: Iteration, curve: AdaptationCurve) -> Iteration:
    columns = {f"evaluation/return_after_{k}_steps": float(mean) for k, mean in enumerate(curve.mean)}
    return replace(iteration, metrics={**iteration.metrics, **columns})
