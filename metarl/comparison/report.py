"""The table of a comparison as Markdown, CSV and a picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from metarl.adaptation.statistics import Interval
from metarl.comparison.runs import Result
from metarl.comparison.summary import Row

_COLUMNS = (
    *("algorithm", "seeds", "tasks", "existing_tasks", "inner_steps"),
    *("mean_return", "low_95", "high_95", "worsened_share", "per_task", "environment_steps", "seconds"),
    *("environment_steps_to_target", "seconds_to_target", "seeds_at_target", "exact"),
)


def markdown(rows: Sequence[Row], target: float, episodes: int) -> str:
    """One line per algorithm: returns by episodes used with 95 % intervals, and the cost of the target.

    Args:
        episodes: of every inner step, or between two points of a policy with memory.
    """
    steps = range(len(rows[0].returns))
    header = [
        "",
        *(f"{n} episode{'s' * (n != 1)}" for n in (step * episodes for step in steps)),
        "mean fell",
        f"training to {f'{target:.0f}' if abs(target) >= 100 else f'{target:.3g}'}: environment steps",
        "time",
    ]
    lines = [header, ["---"] + ["---:"] * (len(header) - 1)]
    for row in rows:
        cells = [_interval(row, one) for one in row.returns]
        lines.append([row.label + _exceptions(row, rows), *cells, f"{row.worsened:.0%}", *_cost(row)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def tasks_of(row: Row) -> str:
    """ "40 held-out tasks", or "its 2 tasks, 20 times each"."""
    if row.existing is None:
        return f"{row.tasks} {row.tasks_name} task{'s' * (row.tasks != 1)}"
    times, more = divmod(row.tasks, row.existing)
    return f"its {row.existing} tasks, {f'{times} or {times + 1}' if more else times} times each"


def _exceptions(row: Row, rows: Sequence[Row]) -> str:
    """What a row has fewer of than others."""
    fewer = [f"{row.seeds} of the seeds"] * (row.seeds < max(one.seeds for one in rows))
    if row.tasks < max(one.tasks for one in rows):
        fewer.append(f"{row.tasks} of the tasks" if row.existing is None else tasks_of(row))
    return f" ({', '.join(fewer)})" if fewer else ""


def _interval(row: Row, one: Interval) -> str:
    certain = row.seeds * row.tasks == 1
    return f"{one.mean:.1f}" if certain else f"{one.mean:.1f} [{one.low:.1f}, {one.high:.1f}]"


def _cost(row: Row) -> tuple[str, str]:
    if row.to_target is None:
        return "not reached", ""
    steps, seconds = row.to_target
    of = "" if row.reached == row.seeds else f" ({row.reached} of {row.seeds} seeds)"
    each, bound = " a task" if row.per_task else "", "" if row.exact else "at most "
    return f"{bound}{_short(steps)}{each}{of}", f"{bound}{_duration(seconds)}{each}"


def _short(count: float) -> str:
    if count >= 999_500:
        return f"{count / 1e6:.2f}M"
    return f"{count / 1e3:.0f}k" if count >= 999.5 else f"{count:.0f}"


def _duration(seconds: float) -> str:
    if seconds >= 99.5:
        return f"{seconds / 60:.1f} min"
    return f"{seconds:.0f} s" if seconds >= 9.95 else f"{seconds:.1f} s"


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """One line per algorithm and number of inner steps."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in rows:
        for step, one in enumerate(row.returns):
            counts = (row.label, row.seeds, row.tasks, row.existing, step, *one, row.worsened)
            cost = (*(row.to_target or ("", "")), row.reached, row.exact)
            writer.writerow([*counts, row.per_task, row.environment_steps, row.seconds, *cost])
    path.write_text(buffer.getvalue())


def plot(
    path: Path, rows: Sequence[Row], results: Sequence[Result], title: str, target: float, episodes: int
) -> None:
    """Adaptation curves, and the learning curves of all seeds of what learns from many tasks, as a PNG.

    Args:
        episodes: as of `markdown`.
    """
    figure = Figure(figsize=(11, 4.8), dpi=150, layout="constrained")
    adaptation, learning = figure.subplots(1, 2, sharey=True)
    colours = matplotlib.colormaps["tab20"].colors  # type: ignore[attr-defined]
    width = 0.5 / len(rows)
    for i, row in enumerate(rows):
        colour = colours[i % len(colours)]
        mean, low, high = (np.array(column) for column in zip(*row.returns, strict=True))
        steps = (
            np.arange(len(mean)) + (i - (len(rows) - 1) / 2) * width
        )  # apart, so that intervals can be seen
        adaptation.errorbar(
            steps,
            mean,
            yerr=[np.maximum(mean - low, 0), np.maximum(high - mean, 0)],
            color=colour,
            marker="o",
            markersize=4,
            capsize=2,
            label=row.label,
        )
        for result in results:
            meta_learned = result.label == row.label and not result.per_task
            if meta_learned and len(result.learning.returns):
                curve = result.learning
                learning.plot(
                    curve.environment_steps,
                    curve.returns,
                    color=colour,
                    linewidth=1,
                    marker=".",
                    markersize=4,
                )
    learning.axhline(target, color="grey", linestyle=":", linewidth=1)
    ticks = range(len(rows[0].returns))
    adaptation.set_xticks(ticks, [f"{step * episodes}" for step in ticks])
    name = rows[0].tasks_name
    adaptation.set_xlabel(f"episodes used on a {f'{name} ' * (rows[0].existing is None)}task")
    adaptation.set_ylabel("return")
    learning.xaxis.set_major_formatter(EngFormatter(sep=""))
    learning.set_xlabel("environment steps of training, one line per seed")
    learning.set_ylabel("return after adaptation")
    for axes in (adaptation, learning):
        axes.grid(alpha=0.3)
    figure.suptitle(title, fontsize=10)
    figure.legend(loc="outside right center", frameon=False, fontsize=8)
    figure.savefig(path)
