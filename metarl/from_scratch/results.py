"""What learning from scratch came to: curves, and a file for every finished task."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from metarl_envs.task_parameters import Array
from metarl_envs.tasks import Tasks, unstack_tasks
from numpy.typing import NDArray

from metarl.adaptation.evaluation import AdaptationCurve
from metarl.errors import ConfigError, RunError
from metarl.runs.files import results_files, write_atomically


@dataclass(frozen=True)
class TaskOutcome:
    """One task's learning, evaluation by evaluation.

    Args:
        environment_steps: taken in learning before the evaluation.
        seconds: of learning before it; evaluations do not count.
        returns: mean return of its episodes.
    """

    environment_steps: list[int]
    seconds: list[float]
    returns: list[float]


@dataclass(frozen=True)
class ScratchResult:
    """Learning curves of all tasks.

    Args:
        curve: the return after as many environment steps as k inner steps would take, k = 0, ..., K.
        environment_steps: of a task before every evaluation, [evaluation].
        seconds: of learning before it, [evaluation, task].
        returns: mean return of its episodes, [evaluation, task].
    """

    curve: AdaptationCurve
    environment_steps: NDArray[np.int64]
    seconds: Array
    returns: Array

    @property
    def total_environment_steps(self) -> int:
        """Of all tasks together, evaluations not counted."""
        return int(self.environment_steps[-1] * self.returns.shape[1])

    @property
    def total_seconds(self) -> float:
        """Of all tasks' learning, one after the other."""
        return float(self.seconds[-1].sum())


def gather(outcomes: Sequence[TaskOutcome], tasks: Any, at_inner_steps: Sequence[int]) -> ScratchResult:
    """Joins the tasks' outcomes.

    Args:
        at_inner_steps: number of the evaluation after k inner steps' worth, k = 0, ..., K.
    """
    returns = np.array([outcome.returns for outcome in outcomes]).T
    return ScratchResult(
        AdaptationCurve(tasks, returns[list(at_inner_steps)]),
        np.array(outcomes[0].environment_steps, dtype=np.int64),
        np.array([outcome.seconds for outcome in outcomes]).T,
        returns,
    )


def kept_curve(run_dir: Path, tasks: Tasks, at: Sequence[int], episodes: int) -> AdaptationCurve:
    """The curve of the first of the tasks, as far as the run folder keeps their results; nothing is learned.

    Args:
        at: environment steps of learning after 0, ..., K inner steps' worth.
        episodes: of a measurement.

    Raises:
        ConfigError: the folder has no such results of the first task.
        RunError: a task's file is damaged.
    """
    kept = [_read(path) for path in results_files(run_dir)]
    found: list[list[float]] = []
    for task in unstack_tasks(tasks):
        asked = {
            "task": {name: np.asarray(value).tolist() for name, value in task.items()},
            "episodes": episodes,
        }
        fitting = (_returns_at(*one, at) for one in kept if asked.items() <= one[0].items())
        returns = next((one for one in fitting if one is not None), None)
        if returns is None:
            break
        found.append(returns)
    if not found:
        raise ConfigError(
            f"{run_dir}: expected results of learning these tasks, on {episodes} episodes and after "
            f"{list(at)} environment steps, found none; give the --seed, --episodes and --steps of its "
            "results"
        )
    return AdaptationCurve({name: v[: len(found)] for name, v in tasks.items()}, np.array(found).T)


def _returns_at(protocol: dict[str, Any], kept: TaskOutcome, at: Sequence[int]) -> list[float] | None:
    """Those of a task's file after so many environment steps each; None where it has no such measurement."""
    targets = protocol.get("evaluated_after", ())
    if not {*at} <= {*targets}:
        return None
    return [kept.returns[targets.index(steps)] for steps in at]


def write_outcome(path: Path, protocol: dict[str, Any], outcome: TaskOutcome) -> None:
    """Writes a finished task's file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"protocol": protocol, **asdict(outcome)}, indent=2)
    write_atomically(path, f"{text}\n".encode())


def read_outcome(path: Path) -> TaskOutcome | None:
    """Reads a finished task's file; None where there is none.

    Raises:
        RunError: the file is damaged.
    """
    return _read(path)[1] if path.exists() else None


def _read(path: Path) -> tuple[dict[str, Any], TaskOutcome]:
    """The protocol and the outcome in a task's file."""
    try:
        found = json.loads(path.read_text())
        protocol = found.pop("protocol")
        lengths = {*map(_length, found.values())}
        if "evaluated_after" in protocol:  # not of version 0.1.0
            lengths.add(_length(protocol["evaluated_after"]))
        if len(lengths) > 1:
            raise ValueError(f"expected lists of one length, got {lengths}")
        return protocol, TaskOutcome(**found)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise RunError(f"{path}: expected the results of a task, found a damaged file; delete it") from error


def _length(values: Any) -> int:
    """Of a list of finite numbers.

    Raises:
        TypeError, ValueError: it is none.
    """
    if not isinstance(values, list) or not all(math.isfinite(value) for value in values):
        raise ValueError(f"expected a list of finite numbers, got {values!r:.80}")
    return len(values)
