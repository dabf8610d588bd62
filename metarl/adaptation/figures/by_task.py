"""What adaptation did to every task: gains, and returns against the task's parameter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from metarl_envs.task_parameters import Array
from metarl_envs.tasks import Tasks

from metarl.adaptation.evaluation import AdaptationCurve
from metarl.adaptation.figures.style import AFTER, BEFORE, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WORSE = "tab:red"


def gains(curve: AdaptationCurve) -> Array:
    """Every task's return after the last step less that before the first; [task]."""
    return np.asarray(curve.returns[-1] - curve.returns[0])


def gains_figure(curve: AdaptationCurve, title: str) -> Figure:
    """How many tasks gained how much; those that lost are red."""
    figure, (axes,) = panels(title)
    found = gains(curve)
    edges = np.histogram_bin_edges(np.append(found, 0.0), bins="auto")
    edges = np.unique(np.append(edges, 0.0))  # no bar holds losses and gains
    counts, _ = np.histogram(found, edges)
    lost = edges[1:] <= 0
    axes.bar(edges[:-1], counts, np.diff(edges), align="edge", color=np.where(lost, _WORSE, AFTER), alpha=0.8)
    axes.axvline(0.0, color="black", linewidth=1)
    axes.axvline(found.mean(), color="black", linestyle="--", linewidth=1, label=f"mean {found.mean():.3g}")
    axes.set_xlabel(f"return after {curve.points.last_text} less return before")
    axes.set_ylabel("held-out tasks")
    axes.legend(frameon=False)
    return figure


def parameter_of(tasks: Tasks) -> str | None:
    """The first parameter of one or two numbers, against which returns are drawn; None if there is none."""
    small = (name for name, values in tasks.items() if values.ndim < 3 and values[0].size in (1, 2))
    return next(small, None)


def returns_by_parameter(curve: AdaptationCurve, title: str) -> Figure | None:
    """Returns before and after adaptation against the task's number, or on a map of its two numbers."""
    name = parameter_of(curve.tasks)
    if name is None:
        return None
    values = curve.tasks[name].reshape(len(curve.tasks[name]), -1)
    return (
        _on_a_line(curve, values[:, 0], name, title)
        if values.shape[1] == 1
        else _map(curve, values, name, title)
    )


def _on_a_line(curve: AdaptationCurve, values: Array, name: str, title: str) -> Figure:
    figure, (axes,) = panels(title)
    before, after = curve.returns[0], curve.returns[-1]
    axes.vlines(
        values, before, after, color=np.where(after < before, _WORSE, AFTER), alpha=0.4, linewidth=1.2
    )
    axes.scatter(values, before, color=BEFORE, s=22, label="before adaptation")
    label = f"after {curve.points.last_text}"
    axes.scatter(values, after, color=AFTER, s=22, label=label, zorder=3)
    axes.set_xlabel(f"{name} of the held-out task")
    axes.set_ylabel("return")
    axes.legend(frameon=False)
    return figure


def _map(curve: AdaptationCurve, values: Array, name: str, title: str) -> Figure:
    figure, axes = panels(title, 2, width=5.8, height=3.0)
    low, high = float(curve.returns[[0, -1]].min()), float(curve.returns[[0, -1]].max())
    captions = ("before adaptation", f"after {curve.points.last_text}")
    for one, returns, caption in zip(axes, (curve.returns[0], curve.returns[-1]), captions, strict=True):
        x, y = values.T
        drawn = one.scatter(x, y, c=returns, vmin=low, vmax=high, cmap="viridis", s=45, edgecolors="gray")
        one.set_title(caption, fontsize=10)
        one.set_xlabel(f"{name}, first number")
        one.set_aspect("equal", adjustable="box")
    axes[0].set_ylabel(f"{name}, second number")
    figure.colorbar(drawn, ax=axes, label="return")
    return figure
