"""The runs of a comparison: trained, or gone on with, or finished before; and all judged alike."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from metarl_envs.task_parameters import Array
from metarl_envs.tasks import number_tasks
from numpy.typing import NDArray

from metarl.build import build_experiment, held_out_tasks
from metarl.comparison.judgement import Protocol, judge
from metarl.comparison.statistics import LearningCurve
from metarl.config import ExperimentConfig, read_config
from metarl.errors import ConfigError, RunError
from metarl.run_training import Reporter, find_run, make_run_folder, prepare_run, train_run
from metarl.scratch.settings import SCRATCH
from metarl.scratch.training import planned_steps as scratch_steps
from metarl.scratch.training import train_from_scratch
from metarl.training.checkpoint import CHECKPOINT, load_checkpoint
from metarl.training.logging import PROGRESS

_NO_END = 10**9
_OF_POLICIES = ("observe_task", "action_scale")  # options that change neither bodies nor rewards


@dataclass(frozen=True)
class Entry:
    """One run to be: an algorithm's config with a seed and a budget, in a folder of its own."""

    label: str
    seed: int
    config: ExperimentConfig


@dataclass(frozen=True)
class Result:
    """One run judged.

    Args:
        returns: of the trained policy, [step + 1, task].
        task_numbers: equal where tasks are, [task].
        environment_steps, seconds: of its training; evaluations take none.
        learning: return after the protocol's inner steps, of the policies that training kept.
        per_task: whether steps and seconds are those of a single task, as without meta-learning.
    """

    label: str
    seed: int
    returns: Array
    task_numbers: NDArray[np.int64]
    environment_steps: int
    seconds: float
    learning: LearningCurve
    per_task: bool = False


def make_entry(
    path: Path, seed: int, budget: int, folder: Path, protocol: Protocol, evaluations: int
) -> Entry:
    """The run of a config file, with its budget instead of its own number of iterations.

    A config of no iterations stays one; one that learns from scratch keeps its number of tasks and
    environment steps where they are smaller.

    Args:
        evaluations: policies that training keeps for the learning curve, about evenly over the budget.

    Raises:
        ConfigError: the config is missing or wrong.
    """
    own = read_config(path)
    overrides = {
        "seed": seed,
        "run_dir": folder / path.stem / f"seed_{seed}",
    }
    if own.meta_learner_name == SCRATCH:
        overrides |= {
            "training.evaluation_tasks": min(protocol.tasks, own.training.evaluation_tasks),
            "training.evaluation_episodes": protocol.episodes,
            "training.evaluation_steps": protocol.steps,
            "meta_learner.environment_steps": min(budget, own.meta_learner.environment_steps),
            "meta_learner.deterministic": str(protocol.deterministic).lower(),
        }
    else:
        overrides |= {
            "training.environment_steps": budget,
            "training.iterations": _NO_END if own.training.iterations else 0,
            "training.snapshot_every": -(-budget // evaluations),
            "training.evaluate_every": 0,
        }
    words = [f"--{key}={value}" for key, value in overrides.items()]
    return Entry(path.stem, seed, read_config(path, words))


def planned_steps(entry: Entry) -> int:
    """Environment steps that a run will have taken at its end."""
    config = entry.config
    scratch = config.meta_learner_name == SCRATCH
    return scratch_steps(config) if scratch else int(config.training.environment_steps)


def same_problem(one: ExperimentConfig, other: ExperimentConfig) -> bool:
    """Whether two configs pose the same tasks at the same horizon, whatever a policy sees and its box.

    Meta-batches of as many tasks are the same training tasks, for a seed.
    """

    def posed(config: ExperimentConfig) -> tuple[object, ...]:
        options = {k: v for k, v in config.environment.options.items() if k not in _OF_POLICIES}
        return config.environment.id, config.environment.horizon, options

    both_train = SCRATCH not in (one.meta_learner_name, other.meta_learner_name)
    same_batches = not both_train or one.sampling.tasks == other.sampling.tasks
    return posed(one) == posed(other) and same_batches


def check(entry: Entry) -> None:
    """Builds what a run needs, reads what its folder holds, and nothing more.

    Raises:
        ConfigError: it cannot be built; the message names the config.
        RunError: its folder holds another run, or one that cannot serve.
    """
    run_dir = Path(entry.config.run_dir)
    try:
        if entry.config.meta_learner_name == SCRATCH:
            held_out_tasks(entry.config, 1, 0)
        else:
            build_experiment(entry.config)
        if find_run(entry.config, resume=True) and (run_dir / CHECKPOINT).is_file():
            rows = _rows(run_dir, load_checkpoint(run_dir).iteration)
            _check_budget(run_dir, rows, entry.config.training.environment_steps)
    except ConfigError as error:
        raise ConfigError(f"{entry.label}: {error}") from error
    except RunError as error:
        raise RunError(
            f"{entry.label}, seed {entry.seed}: {error}; runs are in folders of --output"
        ) from error


def run_entry(
    entry: Entry,
    protocol: Protocol,
    reporter: Reporter,
    advance: Callable[[int], None],
    judging: Callable[[int, int], None],
) -> Result:
    """Trains or goes on with a run, and judges it; what was finished before is read.

    Args:
        reporter: shows iterations.
        judging: called with how many of its policies are judged, and of how many.
        advance: called with environment steps that no iteration shows: those done before, and those of
            learning from scratch.

    Raises:
        MetaRLError: the run cannot be trained, or its folder holds another.
    """
    if entry.config.meta_learner_name == SCRATCH:
        return _run_from_scratch(entry, protocol, advance)
    experiment = build_experiment(entry.config)
    start = prepare_run(entry.config, True, experiment)
    run_dir = Path(entry.config.run_dir)
    advance(start.environment_steps)
    final = train_run(experiment, start, reporter)
    tasks, judged = judge(run_dir, protocol, judging)
    rows = _rows(run_dir, final.iteration)
    seconds = np.cumsum([0.0, *(float(row["time/iteration_seconds"]) for row in rows)])
    learning = LearningCurve(
        np.array([one.environment_steps for one in judged], dtype=np.float64),
        seconds[[one.iteration for one in judged]],
        np.array([one.returns[-1].mean() for one in judged]),
    )
    returns, steps = judged[-1].returns, final.environment_steps
    return Result(entry.label, entry.seed, returns, number_tasks(tasks), steps, float(seconds[-1]), learning)


def _check_budget(run_dir: Path, rows: Sequence[Mapping[str, str]], budget: int) -> None:
    """A finished run serves the budget that its last iteration reached, and no smaller one."""
    taken = [float(row["rollout/environment_steps"]) for row in rows]
    if len(taken) > 1 and taken[-2] >= budget > 0:
        raise RunError(
            f"{run_dir}: expected a run of at most {budget:,} environment steps, got {taken[-1]:,.0f}; "
            "choose another folder, or that budget"
        )


def _run_from_scratch(entry: Entry, protocol: Protocol, advance: Callable[[int], None]) -> Result:
    """Learns the first of the protocol's tasks from scratch; its steps and seconds are those of a task."""
    config, run_dir = entry.config, Path(entry.config.run_dir)
    listed, learned = held_out_tasks(config, protocol.tasks, protocol.seed), config.training.evaluation_tasks
    tasks = {name: values[:learned] for name, values in listed.items()}
    find_run(config, resume=True)
    make_run_folder(config)
    found = train_from_scratch(
        config,
        tasks,
        steps=protocol.steps,
        episodes=protocol.episodes,
        environment_steps_per_task=config.meta_learner.environment_steps // learned,
        run_dir=run_dir,
        progress=advance,
    )
    learning = LearningCurve(
        found.environment_steps.astype(np.float64), found.seconds.mean(1), found.returns.mean(1)
    )
    steps, seconds = int(found.environment_steps[-1]), float(found.seconds[-1].mean())
    numbers = number_tasks(tasks)
    return Result(
        entry.label, entry.seed, found.curve.returns, numbers, steps, seconds, learning, per_task=True
    )


def _rows(run_dir: Path, iterations: int) -> list[dict[str, str]]:
    """progress.csv's row of every iteration done.

    Raises:
        RunError: rows are missing.
    """
    with (run_dir / PROGRESS).open(newline="") as file:
        rows = list(csv.DictReader(file))[:iterations]
    if len(rows) < iterations:
        raise RunError(
            f"{run_dir / PROGRESS}: expected a row for each of {iterations} iterations, got {len(rows)}; "
            "delete the run's folder, to train it anew"
        )
    return rows
