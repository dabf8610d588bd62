"""What a run folder keeps of evaluations and adaptations: each in a folder of its own, none overwritten."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from metarl_envs.task_files import tasks_to_data
from metarl_envs.task_parameters import Array
from metarl_envs.tasks import Tasks, number_of_tasks

from metarl.adaptation.evaluation import AdaptationCurve
from metarl.adaptation.statistics import Changes, over_episodes
from metarl.runs.files import (
    ADAPTATION,
    EVALUATION,
    HELD_OUT_TASK,
    SUMMARY,
    TABLE,
    protocol_digest,
    write_atomically,
)

_UNSAFE = re.compile(r"[^A-Za-z0-9=.,_+-]")
_LONGEST_NAME = 80


def new_evaluation(run_dir: Path) -> Path:
    """Makes the folder of an evaluation, named by the time, e.g. evaluation/20261121T181752Z."""
    return _new_folder(run_dir / EVALUATION, datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ"))


def new_adaptation(run_dir: Path, task: Mapping[str, Any]) -> Path:
    """Makes the folder of an adaptation, named by the task, e.g. adaptation/velocity=1.5."""
    return _new_folder(run_dir / ADAPTATION, task_name(task))


def task_name(task: Mapping[str, Any]) -> str:
    """The task as the name of a folder: letters, digits and =.,_+- alone, at most 80 of them.

    Numbers have at most four digits. A name that is not the task letter by letter but for these ends in
    twelve characters that only this task has.
    """
    plain = {name: np.ravel(value).tolist() for name, value in task.items()}
    whole = "_".join(f"{name}={','.join(map(_short, values))}" for name, values in plain.items())
    name = _UNSAFE.sub("-", whole)
    if name == whole and len(name) <= _LONGEST_NAME:
        return name
    ending = f"_{protocol_digest(plain)}"
    return name[: _LONGEST_NAME - len(ending)] + ending


def find_means(run_dir: Path, protocol: Mapping[str, Any], tasks: int, steps: int) -> Sequence[float] | None:
    """The mean returns [step + 1] on evaluation tasks of an evaluation that the run folder keeps.

    Args:
        protocol: how they were measured, to the letter.
        tasks, steps: how many; another evaluation is not this one.
    """
    for path in sorted((run_dir / EVALUATION).glob(f"*/{SUMMARY}")):
        try:
            summary = json.loads(path.read_text())
            (found,) = summary["lists"].values()
            means: list[float] = found["mean_return"]
            same = summary["protocol"] == dict(protocol) and (found["tasks"], len(means)) == (
                tasks,
                steps + 1,
            )
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            continue
        if same:
            return means
    return None


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def write_results(folder: Path, curves: Mapping[str, AdaptationCurve], protocol: Mapping[str, Any]) -> None:
    """Writes adaptation.csv, a line for every task, and adaptation.json, the means and their 95 % intervals.

    Args:
        curves: by the name of their task list, all of the same parameters and steps.
        protocol: how they were measured.
    """
    write_atomically(folder / TABLE, csv_bytes(task_rows([({"tasks": n}, c) for n, c in curves.items()])))
    lists = {name: summarised(curve) for name, curve in curves.items()}
    text = json.dumps({"lists": lists, "protocol": dict(protocol)}, indent=2)
    write_atomically(folder / SUMMARY, f"{text}\n".encode())


def write_adaptation(folder: Path, returns: Array, counted: str = "step", each: str = "episode") -> None:
    """Writes adaptation.csv, a line per inner step: the mean return, its interval, every episode's.

    The 95 % interval is over episodes, by Student's t; of one episode there is none.

    Args:
        returns: of one task's episodes, [step + 1, episode].
        counted: the title of the number's column.
        each: what a column of single returns is of.
    """
    episodes = returns.shape[1]
    ends = ["low_95", "high_95"] if episodes > 1 else []
    rows: list[list[Any]] = [[counted, "mean_return", *ends, *(f"{each}_{i}" for i in range(episodes))]]
    for step, values in enumerate(returns):
        mean, *interval = over_episodes(values)
        rows.append([step, mean, *interval[: len(ends)], *values.tolist()])
    write_atomically(folder / TABLE, csv_bytes(rows))


def write_held_out_task(run_dir: Path, tasks: Tasks) -> None:
    """Writes the first of the tasks as held_out_task.json, which `scripts/adapt.py --task` takes."""
    write_atomically(run_dir / HELD_OUT_TASK, f"{json.dumps(tasks_to_data(tasks)[0])}\n".encode())


def _new_folder(parent: Path, name: str) -> Path:
    """Makes parent/name, or name_2, name_3, ... where there is one."""
    parent.mkdir(parents=True, exist_ok=True)
    path, number = parent / name, 1
    while True:
        try:
            path.mkdir()
            return path
        except FileExistsError:
            number += 1
            path = parent / f"{name}_{number}"


def task_rows(labelled: Sequence[tuple[Mapping[str, str], AdaptationCurve]]) -> Iterable[list[Any]]:
    """A title, then a row for every task: its labels, its numbers, its return after every number of steps.

    The last column says whether adaptation made it "worse" or "better" beyond noise; it is left out where the
    episodes are too few to tell it of any task.

    Args:
        labelled: curves, each with the same labels by their column.
    """
    told = any(curve.changes_can_be_told for _, curve in labelled)
    for n, (labels, curve) in enumerate(labelled):
        columns = {key: values.reshape(len(values), -1) for key, values in curve.tasks.items()}
        changes = curve.changes
        if n == 0:
            named = [
                f"{key}_{i}" if values.shape[1] > 1 else key
                for key, values in columns.items()
                for i in range(values.shape[1])
            ]
            noun = "steps" if curve.trial_episodes is None else "episodes"
            returns = [f"return_after_{number}_{noun}" for number in curve.points.at]
            yield [*labels, *named, *returns, *["beyond_noise"] * told]
        for i in range(number_of_tasks(curve.tasks)):
            task = [number for values in columns.values() for number in values[i].tolist()]
            change = [change_name(changes, i)] * told
            yield [*labels.values(), *task, *curve.returns[:, i].tolist(), *change]


def change_name(changes: Changes | None, task: int) -> str:
    """ "worse", "better", or nothing where it cannot be told from noise."""
    if changes is None:
        return ""
    return "worse" * bool(changes.worse[task]) or "better" * bool(changes.better[task])


def summarised(curve: AdaptationCurve) -> dict[str, Any]:
    """The means of a curve as plain data."""
    changes = curve.changes
    return {
        "tasks": curve.returns.shape[1],
        "mean_return": curve.mean.tolist(),
        "low_95": [_known(interval.low) for interval in curve.intervals],
        "high_95": [_known(interval.high) for interval in curve.intervals],
        "tasks_whose_mean_fell": curve.worsened,
        "worse_beyond_noise": None if changes is None else int(changes.worse.sum()),
        "better_beyond_noise": None if changes is None else int(changes.better.sum()),
    }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def csv_bytes(rows: Iterable[list[Any]]) -> bytes:
    """The rows as a file."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue().encode()
