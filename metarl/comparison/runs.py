"""The runs of a comparison: trained, or gone on with, or finished before; and all judged alike."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from metarl_envs.task_parameters import Array

from metarl.build import build_experiment, held_out_tasks
from metarl.comparison.judgement import Protocol, judge
from metarl.comparison.statistics import LearningCurve
from metarl.config import ExperimentConfig, read_config
from metarl.errors import ConfigError, RunError
from metarl.run_training import Reporter, find_run, make_run_folder, prepare_run, train_run
from metarl.scratch.settings import SCRATCH
from metarl.scratch.training import planned_steps as scratch_steps
from metarl.scratch.training import train_from_scratch
from metarl.training.checkpoint import load_checkpoint
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
        returns: [step + 1, task].
        environment_steps, seconds: of its training.
        learning: return after the protocol's inner steps, as training's own evaluations saw it.
        per_task: whether steps and seconds are those of a single task, as without meta-learning.
    """

    label: str
    seed: int
    returns: Array
    environment_steps: int
    seconds: float
    learning: LearningCurve
    per_task: bool = False


def make_entry(
    path: Path, seed: int, budget: int, folder: Path, protocol: Protocol, evaluate_every: int
) -> Entry:
    """The run of a config file, with its budget instead of its own number of iterations.

    A config of no iterations stays one; one that learns from scratch keeps its number of tasks and
    environment steps where they are smaller.

    Raises:
        ConfigError: the config is missing or wrong.
    """
    own = read_config(path)
    overrides = {
        "seed": seed,
        "run_dir": folder / path.stem / f"seed_{seed}",
        "training.evaluation_tasks": protocol.tasks,
        "training.evaluation_episodes": protocol.episodes,
        "training.evaluation_steps": protocol.steps,
    }
    if own.meta_learner_name == SCRATCH:
        overrides |= {
            "training.evaluation_tasks": min(protocol.tasks, own.training.evaluation_tasks),
            "meta_learner.environment_steps": min(budget, own.meta_learner.environment_steps),
            "meta_learner.deterministic": str(protocol.deterministic).lower(),
        }
    else:
        overrides |= {
            "training.environment_steps": budget,
            "training.iterations": _NO_END if own.training.iterations else 0,
            "training.evaluate_every": evaluate_every,
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
    """Builds what a run needs, and nothing more.

    Raises:
        ConfigError: it cannot be built; the message names the config.
    """
    try:
        if entry.config.meta_learner_name == SCRATCH:
            held_out_tasks(entry.config, 1, 0)
        else:
            build_experiment(entry.config)
    except ConfigError as error:
        raise ConfigError(f"{entry.label}: {error}") from error


def run_entry(entry: Entry, protocol: Protocol, reporter: Reporter, advance: Callable[[int], None]) -> Result:
    """Trains or goes on with a run, and judges it; what was finished before is read.

    Args:
        reporter: shows iterations.
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
    _check_budget(run_dir, entry.config.training.environment_steps)
    advance(start.environment_steps)
    train_run(experiment, start, reporter)
    rows = _rows(run_dir)
    return Result(
        entry.label,
        entry.seed,
        judge(run_dir, protocol),
        load_checkpoint(run_dir).environment_steps,
        sum(float(row["time/iteration_seconds"]) for row in rows),
        _learning(rows, f"evaluation/return_after_{protocol.steps}_steps"),
    )


def _check_budget(run_dir: Path, budget: int) -> None:
    """A finished run serves the budget that its last iteration reached, and no smaller one."""
    taken = [float(row["rollout/environment_steps"]) for row in _rows(run_dir)]
    if len(taken) > 1 and taken[-2] >= budget > 0:
        raise RunError(
            f"{run_dir}: expected a run of at most {budget:,} environment steps, got {taken[-1]:,.0f}; "
            "choose another --output, or that budget"
        )


def _run_from_scratch(entry: Entry, protocol: Protocol, advance: Callable[[int], None]) -> Result:
    """Learns the first of the protocol's tasks from scratch; its steps and seconds are those of a task."""
    config, run_dir = entry.config, Path(entry.config.run_dir)
    tasks, learned = held_out_tasks(config, protocol.tasks, protocol.seed), config.training.evaluation_tasks
    find_run(config, resume=True)
    make_run_folder(config)
    found = train_from_scratch(
        config,
        {name: values[:learned] for name, values in tasks.items()},
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
    return Result(entry.label, entry.seed, found.curve.returns, steps, seconds, learning, per_task=True)


def _rows(run_dir: Path) -> list[dict[str, str]]:
    if not (run_dir / PROGRESS).is_file():
        return []
    with (run_dir / PROGRESS).open(newline="") as file:
        return list(csv.DictReader(file))


def _learning(rows: list[dict[str, str]], column: str) -> LearningCurve:
    seconds = np.cumsum([float(row["time/iteration_seconds"]) for row in rows])
    seen = [i for i, row in enumerate(rows) if row.get(column)]
    return LearningCurve(
        np.array([float(rows[i]["rollout/environment_steps"]) for i in seen]),
        np.array([float(seconds[i]) for i in seen]),
        np.array([float(rows[i][column]) for i in seen]),
    )
