"""The table of a comparison as Markdown, CSV and a picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
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


def markdown(rows: Sequence[Row], target: float, episodes: int, budget: int = 0) -> str:
    """One line per algorithm: returns by episodes used with 95 % intervals, and the cost of the target.

    Args:
        episodes: of every inner step, or between two points of a policy with memory.
        budget: environment steps of training; rows tell what is far below.
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
        lines.append([title_of(row, rows, budget), *cells, f"{row.worsened:.0%}", *_cost(row)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def tasks_of(row: Row) -> str:
    """ "40 held-out tasks", or "its 2 tasks, 20 times each"."""
    if row.existing is None:
        return f"{row.tasks} {row.tasks_name} task{'s' * (row.tasks != 1)}"
    times, more = divmod(row.tasks, row.existing)
    return f"its {row.existing} tasks, {f'{times} or {times + 1}' if more else times} times each"


def title_of(row: Row, rows: Sequence[Row], budget: int) -> str:
    """A row's label, and what it has fewer of than the others, e.g. "pearl (200k steps of training)"."""
    fewer = [f"{row.seeds} of the seeds"] * (row.seeds < max(one.seeds for one in rows))
    if row.tasks < max(one.tasks for one in rows):
        fewer.append(f"{row.tasks} of the tasks" if row.existing is None else tasks_of(row))
    if not row.per_task and 0 < row.environment_steps < 0.9 * budget:
        fewer.append(f"{_short(row.environment_steps)} steps of training")
    return row.label + (f" ({', '.join(fewer)})" if fewer else "")


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

    Learning is drawn over environment steps and over time: who needs less of one may need more of the other.

    Args:
        episodes: as of `markdown`.
    """
    figure = Figure(figsize=(15, 4.8), dpi=150, layout="constrained")
    adaptation, by_steps, by_time = figure.subplots(1, 3, sharey=True)
    tab20 = matplotlib.colormaps["tab20"].colors  # type: ignore[attr-defined]
    colours = {row.label: tab20[i % len(tab20)] for i, row in enumerate(rows)}
    _draw_adaptation(adaptation, rows, colours, episodes)
    _draw_learning(by_steps, by_time, results, colours)
    for axes in (by_steps, by_time):
        axes.axhline(target, color="grey", linestyle=":", linewidth=1)
    for axes in (adaptation, by_steps, by_time):
        axes.grid(alpha=0.3)
    figure.suptitle(title, fontsize=10)
    figure.legend(loc="outside right center", frameon=False, fontsize=8)
    figure.savefig(path)


def _draw_adaptation(axes: Axes, rows: Sequence[Row], colours: Mapping[str, str], episodes: int) -> None:
    width = 0.5 / len(rows)
    for i, row in enumerate(rows):
        mean, low, high = (np.array(column) for column in zip(*row.returns, strict=True))
        apart = (i - (len(rows) - 1) / 2) * width  # so that intervals can be seen
        axes.errorbar(
            np.arange(len(mean)) + apart,
            mean,
            yerr=[np.maximum(mean - low, 0), np.maximum(high - mean, 0)],
            color=colours[row.label],
            marker="o",
            markersize=4,
            capsize=2,
            label=row.label,
        )
    ticks = range(len(rows[0].returns))
    axes.set_xticks(ticks, [f"{step * episodes}" for step in ticks])
    axes.set_xlabel(f"episodes used on a {f'{rows[0].tasks_name} ' * (rows[0].existing is None)}task")
    axes.set_ylabel("return")


def _draw_learning(
    by_steps: Axes, by_time: Axes, results: Sequence[Result], colours: Mapping[str, str]
) -> None:
    for result in results:
        curve = result.learning
        if result.per_task or not len(curve.returns):
            continue
        for axes, x in ((by_steps, curve.environment_steps), (by_time, curve.seconds / 60)):
            axes.plot(x, curve.after, color=colours[result.label], linewidth=1, marker=".", markersize=4)
    by_steps.xaxis.set_major_formatter(EngFormatter(sep=""))
    by_steps.set_xlabel("environment steps of training, one line per seed")
    by_time.set_xscale("symlog", linthresh=0.1)
    by_time.xaxis.set_major_formatter("{x:g}")
    by_time.set_xlabel("minutes of training")
    by_steps.set_ylabel("return after adaptation")
