"""The runs of a comparison: trained, resumed or finished before, and all judged alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from metarl_envs.task_parameters import Array
from numpy.typing import NDArray

from metarl.comparison.entries import Entry
from metarl.comparison.judgement import Protocol, judge
from metarl.comparison.statistics import LearningCurve
from metarl.experiment.build import build_experiment
from metarl.experiment.environments import (
    BEYOND,
    HELD_OUT,
    held_out_tasks,
    list_name,
    strata_of,
    task_distribution,
)
from metarl.experiment.experiments import ScratchExperiment
from metarl.from_scratch.training import learn_tasks
from metarl.runs.folder import find_run, hold_run_folder, make_run_folder
from metarl.runs.progress import read_progress
from metarl.training.observers import Observer
from metarl.training.run_start import prepare_run
from metarl.training.run_training import train_run


@dataclass(frozen=True)
class Result:
    """One run judged.

    Args:
        returns: of the trained policy, [step + 1, task].
        strata: each task's number, [task], where the list holds all tasks that exist; None for drawn ones.
        environment_steps, seconds: of its training; evaluations take none.
        learning: returns of the policies that training kept.
        per_task: whether steps and seconds are those of a single task, as without meta-learning.
        tasks_name: what `list_name` calls the tasks.
    """

    label: str
    seed: int
    returns: Array
    strata: NDArray[np.int64] | None
    environment_steps: int
    seconds: float
    learning: LearningCurve
    per_task: bool = False
    tasks_name: str = HELD_OUT


def run_entry(
    entry: Entry,
    protocol: Protocol,
    observers: Sequence[Observer],
    advance: Callable[[int], object],
    judging: Callable[[int, int], None],
) -> Result:
    """Trains or resumes a run, and judges it; the results of a finished one are read.

    Args:
        observers: of the training.
        advance: called with environment steps that learning from scratch took.
        judging: called with the number of its policies judged so far, and of all.

    Raises:
        MetaRLError: the run cannot be trained, its folder holds another, or another process trains in it.
    """
    with hold_run_folder(Path(entry.config.run_dir)):
        if isinstance(entry.config, ScratchExperiment):
            return _run_from_scratch(entry, entry.config, protocol, advance)
        return _run(entry, protocol, observers, judging)


def _run(
    entry: Entry,
    protocol: Protocol,
    observers: Sequence[Observer],
    judging: Callable[[int, int], None],
) -> Result:
    experiment = build_experiment(entry.config)
    start = prepare_run(experiment.config, True, experiment)
    run_dir, training = Path(entry.config.run_dir), entry.config.training
    final = train_run(experiment, start, observers)
    steps = [0, *map(int, read_progress(run_dir, final.iteration, "rollout/environment_steps"))]
    seconds = np.cumsum([0.0, *read_progress(run_dir, final.iteration, "time/iteration_seconds")])
    wanted = {0, *(i for i in range(1, len(steps)) if training.is_snapshot(steps[i - 1], steps[i]))}
    judged = judge(run_dir, protocol, wanted, judging)
    learning = LearningCurve(
        np.array([one.environment_steps for one in judged], dtype=np.float64),
        seconds[[one.iteration for one in judged]],
        np.array([one.returns.mean(1) for one in judged]),
        complete=wanted <= {one.iteration for one in judged},
    )
    source, tasks = experiment.task_distribution, experiment.held_out_tasks(protocol.tasks, protocol.seed)
    strata, name = strata_of(source, tasks), list_name(source, tasks)
    if protocol.on == BEYOND:
        strata, name = None, BEYOND
    returns, time = judged[-1].returns, float(seconds[-1])
    return Result(entry.label, entry.seed, returns, strata, steps[-1], time, learning, tasks_name=name)


def _run_from_scratch(
    entry: Entry, config: ScratchExperiment, protocol: Protocol, advance: Callable[[int], object]
) -> Result:
    """Learns the first of the protocol's tasks from scratch; its steps and seconds are those of a task."""
    run_dir = Path(config.run_dir)
    listed, learned = held_out_tasks(config, protocol.tasks, protocol.seed), config.training.evaluation_tasks
    tasks = {name: values[:learned] for name, values in listed.items()}
    find_run(config, resume=True)
    make_run_folder(config)
    found = learn_tasks(
        config,
        tasks,
        steps=protocol.steps,
        episodes=protocol.episodes,
        environment_steps_per_task=config.from_scratch.environment_steps // learned,
        run_dir=run_dir,
        progress=advance,
    )
    learning = LearningCurve(
        found.environment_steps.astype(np.float64), found.seconds.mean(1), found.returns.mean(1)[:, None]
    )
    source = task_distribution(config)
    strata, name = strata_of(source, tasks), list_name(source, tasks)
    steps, seconds = int(found.environment_steps[-1]), float(found.seconds[-1].mean())
    returns = found.curve.returns
    return Result(entry.label, entry.seed, returns, strata, steps, seconds, learning, True, name)
