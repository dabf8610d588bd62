"""Pictures of adaptation."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from pathlib import Path

from matplotlib.figure import Figure

from metarl.adaptation.evaluation import AdaptationCurve

_COLOURS = (("tab:blue", "tab:orange"), ("tab:green", "darkgreen"), ("tab:purple", "indigo"))
"""Of a list's single tasks, and of their mean."""


def plot_adaptation(curves: Mapping[str, AdaptationCurve], title: str, path: Path) -> None:
    """Draws every task's return by inner step, and the means with their 95 % intervals, to a PNG.

    Args:
        curves: by the name of their task list.
    """
    figure = Figure(figsize=(6.4, 4.2), dpi=150, layout="constrained")
    axes = figure.subplots()
    for (name, curve), (thin, thick) in zip(curves.items(), cycle(_COLOURS)):
        steps, tasks = range(len(curve.returns)), curve.returns.shape[1]
        axes.plot(steps, curve.returns, color=thin, alpha=0.18, linewidth=0.9)
        axes.plot([], [], color=thin, alpha=0.4, linewidth=0.9, label=f"one {name} task")
        axes.errorbar(
            steps,
            curve.mean,
            yerr=None if tasks == 1 else curve.half_width,
            color=thick,
            linewidth=2.2,
            marker="o",
            capsize=4,
            label=f"mean of {tasks} {name} tasks, 95 % interval",
        )
        axes.set_xticks(list(steps))
    axes.set_xlabel("inner steps")
    axes.set_ylabel("return")
    axes.set_title(title)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", frameon=False)
    figure.savefig(path)
