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
from numpy.typing import NDArray

from metarl.supervised.data.sinusoid import DOMAIN, PICTURED, grid, pictured_points

Array = NDArray[np.float64]
STEPS = 0, 1, 5, 10
PAPER = {
    "*MAML in Finn et al. 2017*": ("", "*0.67*", "*0.38*", "*0.35*"),
    "*pre-training in Finn et al. 2017*": ("", "*2.41*", "*2.23*", "*2.19*"),
}
DRAWN = (  # step, colour, line style, width, label
    (0, "0.55", (0, (1, 1.2)), 1.4, "before"),
    (1, "tab:orange", (0, (5, 1.5)), 1.6, "after 1 step"),
    (10, "tab:blue", "solid", 2.0, "after 10 steps"),
)


class Result(NamedTuple):
    """One method's run: errors [task, step + 1], and its curves [step + 1, point] on the pictured task."""

    title: str
    iterations: int
    seconds: float
    errors: Array
    curves: Array

    @property
    def mean(self) -> Array:
        """[step + 1]."""
        return np.asarray(self.errors.mean(0))

    @property
    def half_width(self) -> Array:
        """Half the mean's 95 % interval, 1.96 standard errors over tasks; [step + 1]."""
        return np.asarray(1.96 * self.errors.std(0, ddof=1) / math.sqrt(len(self.errors)))


def markdown(results: Sequence[Result]) -> str:
    """Mean squared errors by gradient steps, ± half the 95 % interval over tasks."""
    header = ["MSE", "before", "1 step", "5 steps", "10 steps", "training"]
    rows = [[title, *errors, ""] for title, errors in PAPER.items()]
    for result in results:
        mean, half = result.mean, result.half_width
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
    steps = range(results[0].errors.shape[1])
    errors = [f"{name}_{k}" for k in steps for name in ("mse", "half_width")]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["method", "iterations", "seconds", "tasks", *errors])
        for result in results:
            values = np.stack([result.mean, result.half_width], axis=1).reshape(-1)
            writer.writerow([result.title, result.iterations, result.seconds, len(result.errors), *values])


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
    x = grid().squeeze(-1).numpy()
    truth, points = PICTURED.at(grid()[None]), pictured_points()
    axes.plot(
        x, truth.y.flatten().numpy(), color="0.85", linewidth=6, solid_capstyle="round", label="true curve"
    )
    for step, colour, style, width, label in DRAWN:
        axes.plot(x, result.curves[step], color=colour, linestyle=style, linewidth=width, label=label)
    axes.plot(
        *(v.flatten().numpy() for v in points), "o", color="black", markersize=5, label="the five points"
    )
    axes.set_title(f"{result.title}: {result.mean[1]:.2f}, {result.mean[10]:.2f}", fontsize=11)
    axes.set_xlim(*DOMAIN)
    axes.set_ylim(-6.5, 6.5)
    axes.spines[["top", "right"]].set_visible(False)
