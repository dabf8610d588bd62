"""The files of an evaluation: every task, the means, and both as Markdown; and its tables for a terminal."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from metarl_envs.tasks import unstack_tasks

from metarl.adaptation.measurement import Measured, SeedCurves
from metarl.adaptation.statistics import LEVEL, Interval, episodes_to_tell
from metarl.runs.files import MEANS, REPORT, SUMMARY, TABLE, write_atomically
from metarl.runs.results import change_name, csv_bytes, summarised, task_rows
from metarl.runs.tables import Table, interval_table, interval_text, measured_text, number_text, task_text


def write_evaluation(
    folder: Path, title: str, own: str, measured: Mapping[str, Measured], protocol: Mapping[str, Any]
) -> None:
    """Writes adaptation.csv, a line for every task, means.csv and adaptation.json, and adaptation.md.

    Args:
        title: of the Markdown.
        own: the name of what is evaluated, beside which baselines may stand.
        measured: by the name of the task list.
        protocol: how it was measured.
    """
    labelled = [
        ({"tasks": name, **({"seed": seed} if seed else {})}, curve)
        for name, one in measured.items()
        for seed, curve in zip(_seed_names(one.own), one.own.curves, strict=True)
    ]
    write_atomically(folder / TABLE, csv_bytes(task_rows(labelled)))
    write_atomically(folder / MEANS, csv_bytes(_mean_rows(own, measured)))
    lists = {name: _summary(one) for name, one in measured.items()}
    text = json.dumps({"lists": lists, "protocol": dict(protocol)}, indent=2)
    write_atomically(folder / SUMMARY, f"{text}\n".encode())
    write_atomically(folder / REPORT, _markdown(title, own, measured, protocol).encode())


def list_tables(own: str, one: Measured) -> dict[str, Table]:
    """The tables of one list by their headings: by inner steps, and by episodes used."""
    by = "number of inner steps" if one.points.trial_episodes is None else one.points.axis
    tables = {f"Return on {one.phrase}, by {by}": _by_steps(own, one)}
    if one.by_episodes:
        heading = "Return by episodes used, measured on further ones, with the interval after the last step"
        tables[heading] = _by_episodes(one)
    return tables


def gain_text(curves: SeedCurves) -> str:
    """What all steps, or the episodes before the last point, gained, with its interval."""
    points = curves.points
    by = "of all steps" if points.trial_episodes is None else f"by {points.last_text}"
    return f"Gain {by}: {measured_text(curves.gain)}."


def changes_text(curves: SeedCurves) -> str:
    """What adaptation did to single tasks, as far as it can be told from noise."""
    count, changes = curves.returns[:, 0].size, curves.changes
    below = f"noise included, the mean return of {curves.worsened} fell"
    if changes is None:
        return f"Of {count} tasks, {below}."
    worse, better = changes.worse.sum(), changes.better.sum()
    noun = "episodes" if curves.points.trial_episodes is None else "trials"
    text = (
        f"Beyond noise, adaptation made {worse} of {count} tasks worse and {better} better; {below}.\n"
        f"(Sign test over {noun}, Holm's levels over tasks: noise alone makes such a claim on at most "
        f"{LEVEL:.0%} of lists.)"
    )
    pairs, needed = _episodes(curves), episodes_to_tell(count)
    if pairs < needed:
        remedy = f"--episodes {needed}" if noun == "episodes" else f"that takes {needed}"
        text += f"\n{pairs} {noun} are too few to make it of any of {count} tasks: {remedy}."
    return text


def worse_table(curves: SeedCurves) -> Table | None:
    """The tasks made worse beyond noise; None where there are none, or that is not known."""
    rows = [row for row in _task_cells(curves) if row[-1] == "worse"]
    return Table(_TASK_HEADER, rows) if rows else None


_TASK_HEADER = ("task", "seed", "before", "after", "gain", "beyond noise")


def _by_steps(own: str, one: Measured) -> Table:
    if not one.beside:
        return interval_table(one.own.points, one.own.intervals)
    curves = {own: one.own, **one.beside}
    rows_beside = [
        (_name(name, of, one.own), *map(measured_text, of.intervals)) for name, of in curves.items()
    ]
    titles = (one.points.text(k).replace("inner ", "") for k in range(one.points.count))
    return Table(("", *titles), rows_beside)


def _name(name: str, curves: SeedCurves, own: SeedCurves) -> str:
    """With what a row has fewer of than the evaluated runs."""
    seeds = f"{len(curves.curves)} seeds" if len(curves.curves) > 1 else ""
    fewer = f"{curves.tasks} of the tasks" if curves.tasks < own.tasks else ""
    beside = ", ".join(filter(None, (seeds, fewer)))
    return f"{name} ({beside})" if beside else name


def _by_episodes(one: Measured) -> Table:
    steps = range(1, len(one.own.intervals))
    rows = [
        (
            f"{number}",
            f"{number * steps[-1]}",
            *(number_text(interval.mean) for interval in curves.intervals),
            interval_text(curves.intervals[-1]),
        )
        for number, curves in sorted(one.by_episodes.items())
    ]
    titles = ("before", *(f"{k} step{'s' * (k > 1)}" for k in steps))
    return Table(("episodes a step", "in all", *titles, "95 % interval"), rows)


def _task_cells(curves: SeedCurves) -> Iterator[tuple[str, ...]]:
    pooled, seeds = curves.pooled, _seed_names(curves)
    changes = pooled.changes
    for i, task in enumerate(unstack_tasks(pooled.tasks)):
        before, after = pooled.returns[[0, -1], i].tolist()
        numbers = (number_text(value) for value in (before, after, after - before))
        yield task_text(task), seeds[i // curves.tasks], *numbers, change_name(changes, i)


def _seed_names(curves: SeedCurves) -> list[str]:
    """By curve; empty ones where there is one curve alone, or seeds are not known."""
    several = len(curves.seeds) > 1
    return [str(seed) for seed in curves.seeds] if several else [""] * len(curves.curves)


def _episodes(curves: SeedCurves) -> int:
    found = curves.curves[0].episode_returns
    return 0 if found is None else found.shape[-1]


def _markdown(title: str, own: str, measured: Mapping[str, Measured], protocol: Mapping[str, Any]) -> str:
    intervals = "Intervals are 95 % bootstrap intervals over seeds and tasks."
    parts = [f"# {title}", f"Measured with `{_command_line(protocol)}`. {intervals}"]
    for one in measured.values():
        parts.append(f"## {one.phrase[0].upper()}{one.phrase[1:]}")
        for heading, table in list_tables(own, one).items():
            parts += [f"{heading}:", table.markdown().rstrip()]
        by_task = Table(_TASK_HEADER, list(_task_cells(one.own)))
        parts += [gain_text(one.own), changes_text(one.own), by_task.markdown().rstrip()]
    return "\n\n".join(parts) + "\n"


def _command_line(options: Mapping[str, Any]) -> str:
    """Options as the words that ask for them: "--steps 3 --deterministic"; of some, their absence."""
    words: list[str] = []
    for name, value in options.items():
        values = value if isinstance(value, list) else [value]
        if value is True:
            words.append(f"--{name}")
        elif value is not False and value is not None and values:
            words += [f"--{name}", *map(str, values)]
    return " ".join(words)


def _mean_rows(own: str, measured: Mapping[str, Measured]) -> Iterator[list[Any]]:
    """A title, then a row for every list, run, number of episodes and number of inner steps."""
    titles = ["tasks", "run", "seeds", "episodes_a_step", "step", "mean_return"]
    rows = list(_means(own, measured))
    known = any(not math.isnan(low) for *_, low, _ in rows)
    yield [*titles, "low_95", "high_95"] if known else titles
    for *row, low, high in rows:
        yield [*row, *map(_or_empty, (low, high))] if known else row


def _means(own: str, measured: Mapping[str, Measured]) -> Iterator[tuple[Any, ...]]:
    """Their numbers, the interval's ends the last ones of a row: NaN where there is none."""
    for name, one in measured.items():
        episodes = _episodes(one.own)
        rows = [(own, episodes, one.own), *((own, number, of) for number, of in one.by_episodes.items())]
        rows += [(label, episodes, of) for label, of in one.beside.items()]
        for label, number, curves in rows:
            for step, interval in enumerate(curves.intervals):
                yield name, label, len(curves.curves), number, step, *interval


def _or_empty(value: float) -> float | str:
    return "" if value != value else value


def _summary(one: Measured) -> dict[str, Any]:
    return {
        **summarised(one.own.pooled),
        "tasks": one.own.tasks,
        "phrase": one.phrase,
        "seeds": len(one.own.curves),
        **_intervals(one.own),
        "gain": _plain(one.own.gain),
        "episodes_used": {str(number): _intervals(of) for number, of in one.by_episodes.items()},
        "beside": {name: {"tasks": of.tasks, **_intervals(of)} for name, of in one.beside.items()},
    }


def _intervals(curves: SeedCurves) -> dict[str, Any]:
    plain = [_plain(one) for one in curves.intervals]
    return {key: [one[key] for one in plain] for key in ("mean_return", "low_95", "high_95")}


def _plain(interval: Interval) -> dict[str, float | None]:
    names = ("mean_return", "low_95", "high_95")
    return {name: None if value != value else value for name, value in zip(names, interval, strict=True)}
