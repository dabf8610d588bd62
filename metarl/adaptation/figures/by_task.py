"""What adaptation did to every task: gains, and returns against the task's parameter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from metarl_envs.task_parameters import Array
from metarl_envs.tasks import Tasks
from numpy.typing import NDArray

from metarl.adaptation.evaluation import AdaptationCurve
from metarl.adaptation.figures.style import AFTER, BEFORE, legend_below, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WORSE, _NEITHER, _UNKNOWN, _BETTER = (
    "worse beyond noise",
    "not to be told from noise",
    "single episodes not known",
    "better beyond noise",
)
_COLOURS = {_WORSE: "tab:red", _NEITHER: "0.75", _UNKNOWN: "0.75", _BETTER: AFTER}


def gains(curve: AdaptationCurve) -> Array:
    """Every task's return after the last step less that before the first; [task]."""
    return np.asarray(curve.returns[-1] - curve.returns[0])


def verdicts(curve: AdaptationCurve) -> dict[str, NDArray[np.bool_]]:
    """Which tasks are worse or better beyond noise, and which neither; [task] each, by a legend's words.

    By `AdaptationCurve.changes`; where no single episodes are known, all are neither.
    """
    changes, count = curve.changes, curve.returns.shape[1]
    if changes is None:
        return {_UNKNOWN: np.ones(count, dtype=np.bool_)}
    neither = ~(changes.worse | changes.better)
    return {_WORSE: changes.worse, _NEITHER: neither, _BETTER: changes.better}


def gains_figure(curve: AdaptationCurve, title: str, tasks: str) -> Figure:
    """How many tasks gained how much, by colour what of it is beyond noise.

    Args:
        tasks: the name of their list, e.g. "held-out".
    """
    figure, (axes,) = panels(title)
    found = gains(curve)
    edges = np.histogram_bin_edges(np.append(found, 0.0), bins="auto")
    edges = np.unique(np.append(edges, 0.0))  # no bar holds losses and gains
    below = np.zeros(len(edges) - 1)
    for name, chosen in verdicts(curve).items():
        counts, _ = np.histogram(found[chosen], edges)
        label = f"{chosen.sum()} {name}"
        axes.bar(edges[:-1], counts, np.diff(edges), below, align="edge", color=_COLOURS[name], label=label)
        below += counts
    axes.axvline(0.0, color="black", linewidth=1)
    axes.axvline(found.mean(), color="black", linestyle="--", linewidth=1, label=f"mean {found.mean():.3g}")
    axes.set_xlabel(f"return after {curve.points.last_text} less return before")
    axes.set_ylabel(f"{tasks} tasks")
    axes.locator_params(axis="y", integer=True)
    legend_below(figure)
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
    for verdict, chosen in verdicts(curve).items():
        ends, colour = (values[chosen], before[chosen], after[chosen]), _COLOURS[verdict]
        axes.vlines(*ends, color=colour, alpha=0.6, linewidth=1.4, label=f"{chosen.sum()} {verdict}")
    axes.scatter(values, before, color=BEFORE, s=22, label="before adaptation")
    label = f"after {curve.points.last_text}"
    axes.scatter(values, after, color=AFTER, s=22, label=label, zorder=3)
    axes.set_xlabel(f"{name} of the task")
    axes.set_ylabel("return")
    legend_below(figure)
    return figure


def _map(curve: AdaptationCurve, values: Array, name: str, title: str) -> Figure:
    """What is worse beyond noise after adaptation has a red ring."""
    figure, axes = panels(title, 2, width=5.8, height=3.0)
    low, high = float(curve.returns[[0, -1]].min()), float(curve.returns[[0, -1]].max())
    captions = ("before adaptation", f"after {curve.points.last_text}")
    for one, returns, caption in zip(axes, (curve.returns[0], curve.returns[-1]), captions, strict=True):
        x, y = values.T
        drawn = one.scatter(x, y, c=returns, vmin=low, vmax=high, cmap="viridis", s=45, edgecolors="gray")
        one.set_title(caption, fontsize=10)
        one.set_xlabel(f"{name}, first number")
        one.set_aspect("equal", adjustable="box")
    changes = curve.changes
    if changes is not None and changes.worse.any():
        x, y = values[changes.worse].T
        axes[1].scatter(x, y, s=110, facecolors="none", edgecolors=_COLOURS[_WORSE])
        axes[1].set_title(f"{captions[1]}\nred ring: {changes.worse.sum()} {_WORSE}", fontsize=10)
    axes[0].set_ylabel(f"{name}, second number")
    figure.colorbar(drawn, ax=axes, label="return")
    return figure
