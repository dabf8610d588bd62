"""The table and the picture of sinusoid regression."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metarl.supervised.evaluation import Scores
from metarl.training.examples.fits import Fits, draw_fits

STEPS = 0, 1, 5, 10
PAPER = {
    "*MAML in Finn et al. 2017*": ("", "*0.67*", "*0.38*", "*0.35*"),
    "*pre-training in Finn et al. 2017*": ("", "*2.41*", "*2.23*", "*2.19*"),
}


class Result(NamedTuple):
    """One method's run: its scores on test tasks, and its fits to the pictured task."""

    title: str
    iterations: int
    seconds: float
    scores: Scores
    fits: Fits


def markdown(results: Sequence[Result]) -> str:
    """Mean squared errors by gradient steps, ± half the 95 % interval over tasks."""
    header = ["MSE", "before", "1 step", "5 steps", "10 steps", "training"]
    rows = [[title, *errors, ""] for title, errors in PAPER.items()]
    for result in results:
        mean, half = result.scores.mean, result.scores.half_width
        errors = [f"{mean[k]:.2f} ± {half[k]:.2f}" for k in STEPS]
        rows.append([result.title, *errors, f"{result.iterations:,} iterations, {result.seconds:.0f} s"])
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [header, ["-" * width for width in widths], *rows]
    return "\n".join(
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |"
        for line in lines
    )


def write_csv(results: Sequence[Result], path: Path) -> None:
    """A row for every method: the errors after 0, 1, ..., 10 steps and half their 95 % intervals."""
    steps = range(results[0].scores.of_tasks.shape[1])
    errors = [f"{name}_{k}" for k in steps for name in ("mse", "half_width")]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["method", "iterations", "seconds", "tasks", *errors])
        for result in results:
            values = np.stack([result.scores.mean, result.scores.half_width], axis=1).reshape(-1)
            writer.writerow(
                [result.title, result.iterations, result.seconds, len(result.scores.of_tasks), *values]
            )


def plot(results: Sequence[Result], path: Path) -> None:
    """A panel for every method: a new task's curve, its five points, the network before and after steps."""
    columns = min(3, len(results))
    rows = math.ceil(len(results) / columns)
    figure = Figure(figsize=(3.6 * columns, 2.6 * rows + 0.5), dpi=150, layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat
    for axes, result in zip(panels, results, strict=False):
        _panel(axes, result)
    for axes in list(panels)[len(results) :]:
        axes.set_axis_off()
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    figure.savefig(path)


def _panel(axes: Axes, result: Result) -> None:
    draw_fits(axes, result.fits)
    mean = result.scores.mean
    axes.set_title(f"{result.title}: {mean[1]:.2f}, {mean[10]:.2f}", fontsize=11)
