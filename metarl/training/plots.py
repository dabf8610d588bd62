"""Pictures of adaptation."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from metarl.training.evaluation import AdaptationCurve


def plot_adaptation(curve: AdaptationCurve, title: str, path: Path) -> None:
    """Draws every task's return by inner step, and the mean with its 95 % interval, to a PNG."""
    figure = Figure(figsize=(6.4, 4.2), dpi=150, layout="constrained")
    axes = figure.subplots()
    steps = range(len(curve.returns))
    axes.plot(steps, curve.returns, color="tab:blue", alpha=0.18, linewidth=0.9)
    axes.plot([], [], color="tab:blue", alpha=0.4, linewidth=0.9, label="one task")
    axes.errorbar(
        steps,
        curve.mean,
        yerr=None if curve.returns.shape[1] == 1 else curve.half_width,
        color="tab:orange",
        linewidth=2.2,
        marker="o",
        capsize=4,
        label=f"mean of {curve.returns.shape[1]} tasks, 95 % interval",
    )
    axes.set_xticks(list(steps))
    axes.set_xlabel("inner steps on a new task")
    axes.set_ylabel("return")
    axes.set_title(title)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", frameon=False)
    figure.savefig(path)
