"""A curve, the points of it that are given, and the network before and after inner steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from metarl.adaptation.figures.style import blank, legend_below
from metarl.math.parameters import Parameters, kind
from metarl.supervised.examples import Examples, Pictured
from metarl.supervised.learners.learner import Predict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
Style = dict[str, Any]
_BEFORE: Style = {"color": "0.55", "linestyle": (0, (1, 1.2)), "linewidth": 1.4, "label": "before"}
_FIRST: Style = {"color": "tab:orange", "linestyle": (0, (5, 1.5)), "linewidth": 1.6, "label": "after 1 step"}
_LAST: Style = {"color": "tab:blue", "linestyle": "solid", "linewidth": 2.0}


class Fits(NamedTuple):
    """A task with what a learner makes of it.

    Args:
        outputs: after 0, 1, ..., K inner steps, at the curve's x, [step + 1, point].
    """

    task: Pictured
    outputs: Array


def fits_of(predict: Predict, parameters: Parameters, task: Pictured, steps: int) -> Fits:
    """The outputs of the task's whole curve along so many inner steps on its points."""
    numbers, device = kind(parameters)
    support = Examples(*(value.to(device, numbers) for value in task.support))
    with torch.no_grad():
        outputs = predict(parameters, support, task.curve.x.to(device, numbers), steps)
    return Fits(task, outputs.squeeze(-1).double().cpu().numpy())


def fits_figure(fits: Fits, title: str) -> Figure:
    """The fits in a figure of their own."""
    figure = blank(5.0, 3.6, 120)
    axes = figure.subplots()
    draw_fits(axes, fits)
    axes.set_title(title, fontsize=10)
    legend_below(figure)
    return figure


def draw_fits(axes: Axes, fits: Fits) -> None:
    """The curve, its points, and the network before, after one step and after the last."""
    (x, y), last = (value.flatten().numpy() for value in fits.task.curve), len(fits.outputs) - 1
    axes.plot(x, y, color="0.85", linewidth=6, solid_capstyle="round", label="true curve")
    lines = {0: _BEFORE, 1: _FIRST, max(2, last): _LAST | {"label": f"after {last} steps"}}
    for step, style in lines.items():
        if step <= last:
            axes.plot(x, fits.outputs[step], **style)
    given = [value.flatten().numpy() for value in fits.task.support]
    axes.plot(*given, "o", color="black", markersize=5, label=f"the {len(given[0])} points")
    axes.set_xlim(x[0], x[-1])
    reach = 1.6 * np.abs(y).max()
    axes.set_ylim(-reach, reach)
    axes.spines[["top", "right"]].set_visible(False)
