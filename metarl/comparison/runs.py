"""The runs of a comparison: trained, or gone on with, or finished before; and all judged alike."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jsonargparse.typing import NonNegativeInt, PositiveInt
from metarl_envs.task_parameters import Array

from metarl.build import build_experiment, held_out_tasks
from metarl.comparison.statistics import LearningCurve
from metarl.config import ExperimentConfig, read_config
from metarl.errors import NonFiniteError
from metarl.meta_policy import load
from metarl.run_training import Reporter, find_run, make_run_folder, prepare_run, train_run
from metarl.scratch.settings import SCRATCH
from metarl.scratch.training import planned_steps as scratch_steps
from metarl.scratch.training import train_from_scratch
from metarl.training.checkpoint import load_checkpoint, write_atomically
from metarl.training.logging import PROGRESS
from metarl.training.loop import name_fault

JUDGED = "comparison.json"
_NO_END = 10**9
_OF_POLICIES = ("observe_task", "action_scale")  # options that change neither bodies nor rewards


@dataclass(frozen=True)
class Protocol:
    """How every policy is judged: on the same held-out tasks, on episodes that adaptation did not use.

    Args:
        tasks: held-out tasks.
        episodes: episodes a task and inner step.
        steps: inner steps K.
        seed: chooses the tasks and the evaluation's noise, for all runs alike.
        deterministic: measure returns with mean actions.
        later_step_scale: of inner steps after the first; null for each algorithm's own.
    """

    tasks: PositiveInt = 40
    episodes: PositiveInt = 20
    steps: PositiveInt = 3
    seed: NonNegativeInt = 0
    deterministic: bool = False
    later_step_scale: float | None = None


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
    """Whether two configs pose the same tasks at the same horizon, whatever a policy sees and its box."""

    def posed(config: ExperimentConfig) -> tuple[object, ...]:
        options = {k: v for k, v in config.environment.options.items() if k not in _OF_POLICIES}
        return config.environment.id, config.environment.horizon, options

    return posed(one) == posed(other)


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
    advance(start.environment_steps)
    train_run(experiment, start, reporter)
    run_dir = Path(entry.config.run_dir)
    rows = _rows(run_dir)
    return Result(
        entry.label,
        entry.seed,
        judge(run_dir, protocol),
        load_checkpoint(run_dir).environment_steps,
        sum(float(row["time/iteration_seconds"]) for row in rows),
        _learning(rows, f"evaluation/return_after_{protocol.steps}_steps"),
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


def judge(run_dir: Path, protocol: Protocol) -> Array:
    """Returns by inner step and task, [step + 1, task]; measured once for a checkpoint and a protocol.

    Raises:
        MetaRLError: the run cannot be read, or something was not finite.
    """
    stamp = {"protocol": asdict(protocol), "iteration": load_checkpoint(run_dir).iteration}
    kept = run_dir / JUDGED
    if kept.is_file():
        found = json.loads(kept.read_text())
        if {name: found.get(name) for name in stamp} == stamp:
            return np.array(found["returns"])
    policy = load(run_dir, "auto", later_step_scale=protocol.later_step_scale)
    tasks = policy.experiment.held_out_tasks(protocol.tasks, protocol.seed)
    try:
        curve, _ = policy.experiment.evaluate(
            policy.parameters,
            tasks,
            episodes=protocol.episodes,
            steps=protocol.steps,
            seed=protocol.seed,
            deterministic=protocol.deterministic,
        )
    except NonFiniteError as error:
        raise name_fault(error, policy.experiment.config.environment.id, tasks, str(run_dir)) from error
    text = json.dumps({**stamp, "returns": curve.returns.tolist()})
    write_atomically(kept, text.encode())
    return curve.returns


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
