"""The table of a comparison as Markdown, CSV and a picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from metarl.comparison.runs import Result
from metarl.comparison.summary import Row

_COLUMNS = (
    *(
        "algorithm",
        "seeds",
        "tasks",
        "different_tasks",
        "inner_steps",
        "mean_return",
        "low_95",
        "high_95",
        "worsened_share",
    ),
    *("per_task", "environment_steps", "seconds"),
    *("environment_steps_to_target", "seconds_to_target", "seeds_at_target"),
)


def markdown(rows: Sequence[Row], target: float) -> str:
    """One line an algorithm: returns by inner step with 95 % intervals, and what the target took."""
    steps = range(len(rows[0].returns))
    header = [
        "",
        *(f"{step} steps" if step != 1 else "1 step" for step in steps),
        "made worse",
        f"to {target:.3g}: environment steps",
        "time",
    ]
    lines = [header, ["---"] + ["---:"] * (len(header) - 1)]
    most = max(row.tasks for row in rows)
    for row in rows:
        label = row.label if row.tasks == most else f"{row.label} ({_tasks(row)})"
        cells = [f"{one.mean:.1f} [{one.low:.1f}, {one.high:.1f}]" for one in row.returns]
        lines.append([label, *cells, f"{row.worsened:.0%}", *_cost(row)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _tasks(row: Row) -> str:
    if row.different_tasks == row.tasks:
        return f"{row.tasks} of the tasks"
    return f"{row.different_tasks} tasks, {row.tasks // row.different_tasks} times each"


def _cost(row: Row) -> tuple[str, str]:
    if row.to_target is None:
        return "not reached", ""
    steps, seconds = row.to_target
    of = "" if row.reached == row.seeds else f" ({row.reached} of {row.seeds} seeds)"
    each = " a task" if row.per_task else ""
    return f"{_short(steps)}{each}{of}", f"{_duration(seconds)}{each}"


def _short(count: float) -> str:
    if count >= 1e6:
        return f"{count / 1e6:.2f}M"
    return f"{count / 1e3:.0f}k" if count >= 1e3 else f"{count:.0f}"


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.1f} min"


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """One line an algorithm and number of inner steps."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in rows:
        for step, one in enumerate(row.returns):
            counts = (row.label, row.seeds, row.tasks, row.different_tasks, step, *one, row.worsened)
            cost = row.to_target or ("", "")
            writer.writerow([*counts, row.per_task, row.environment_steps, row.seconds, *cost, row.reached])
    path.write_text(buffer.getvalue())


def plot(path: Path, rows: Sequence[Row], results: Sequence[Result], title: str, target: float) -> None:
    """Adaptation curves, and learning curves of what learns from many tasks as seeds saw them, to a PNG."""
    figure = Figure(figsize=(11, 4.8), dpi=150, layout="constrained")
    adaptation, learning = figure.subplots(1, 2, sharey=True)
    colours = matplotlib.colormaps["tab20"].colors  # type: ignore[attr-defined]
    width = 0.5 / len(rows)
    for i, row in enumerate(rows):
        colour = colours[i % len(colours)]
        mean, low, high = (np.array(column) for column in zip(*row.returns, strict=True))
        steps = np.arange(len(mean)) + (i - len(rows) / 2) * width  # apart, so that intervals can be seen
        adaptation.errorbar(
            steps,
            mean,
            yerr=[mean - low, high - mean],
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
                learning.plot(curve.environment_steps, curve.returns, color=colour, linewidth=1)
    learning.axhline(target, color="grey", linestyle=":", linewidth=1)
    adaptation.set_xticks(range(len(rows[0].returns)))
    adaptation.set_xlabel("inner steps on a held-out task")
    adaptation.set_ylabel("return")
    learning.set_xlabel("environment steps of training, one line a seed")
    learning.set_ylabel("return after adaptation")
    for axes in (adaptation, learning):
        axes.grid(alpha=0.3)
    figure.suptitle(title)
    figure.legend(loc="outside right center", frameon=False, fontsize=8)
    figure.savefig(path)
