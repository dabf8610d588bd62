"""Returns by number of inner steps: of one evaluation, and of all those of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from metarl_envs.task_parameters import Array

from metarl.adaptation.evaluation import AdaptationCurve
from metarl.adaptation.figures.style import count_in_thousands, legend_below, panels, step_colours
from metarl.adaptation.points import Points
from metarl.adaptation.statistics import Interval, over_episodes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = (("tab:blue", "tab:orange"), ("tab:green", "darkgreen"), ("tab:purple", "indigo"))
"""Of a list's single tasks, and of their mean."""


class EvaluationPoint(NamedTuple):
    """An evaluation in the course of training.

    Args:
        environment_steps: of training before it.
        mean, low, high: the tasks' mean return and the ends of its 95 % interval, NaN where there is none;
            [step + 1].
    """

    environment_steps: int
    mean: Array
    low: Array
    high: Array


def adaptation_figure(
    curves: Mapping[str, AdaptationCurve],
    title: str,
    intervals: Mapping[str, Sequence[Interval]] = MappingProxyType({}),
) -> Figure:
    """Every task's return by inner step as a thin line, and the means with their 95 % intervals.

    Args:
        curves: by the name of their task list.
        intervals: by inner steps, where they are not the curve's own over its tasks.
    """
    figure, (axes,) = panels(title)
    for (name, curve), (thin, thick) in zip(curves.items(), cycle(_COLOURS)):
        steps = curve.points.at
        axes.plot(steps, curve.returns, color=thin, alpha=0.18, linewidth=0.9)
        axes.plot([], [], color=thin, alpha=0.4, linewidth=0.9, label=f"one {name} task")
        axes.errorbar(
            steps,
            curve.mean,
            yerr=_whiskers(intervals.get(name, curve.intervals)),
            color=thick,
            linewidth=2.2,
            marker="o",
            capsize=4,
            label=f"mean of {curve.count} {name} tasks, 95 % interval",
        )
        axes.set_xticks(steps)
    axes.set_xlabel(next(iter(curves.values())).points.axis)
    axes.set_ylabel("return")
    if len(curves) > 1:
        legend_below(figure)
    else:
        axes.legend(loc="lower right", frameon=False)
    return figure


def _whiskers(intervals: Sequence[Interval]) -> Array | None:
    """Lengths below and above the means, [2, step + 1]; None where there are none."""
    mean, low, high = np.array(intervals).T
    return None if np.isnan(low).any() else np.stack([mean - low, high - mean])


def episodes_figure(returns: Array, title: str, axis: str) -> Figure:
    """One task's return by inner step: a dot per episode, and the means with their 95 % intervals.

    Args:
        returns: of the episodes, [step + 1, episode].
        axis: what is counted: "inner steps", or "episodes before" of a policy with memory.
    """
    figure, (axes,) = panels(title)
    steps = np.arange(len(returns))
    axes.plot(steps, returns, ".", color="tab:gray", alpha=0.5, markersize=4)
    whiskers = _whiskers([over_episodes(measured) for measured in returns])
    axes.errorbar(steps, returns.mean(1), yerr=whiskers, color="tab:blue", marker="o", capsize=4)
    axes.set_xticks(steps)
    axes.set_xlabel(axis)
    axes.set_ylabel("return")
    return figure


def training_figure(
    points: Sequence[EvaluationPoint], title: str, tasks: str, trial_episodes: int | None = None
) -> Figure:
    """Return over environment steps, a line with its 95 % interval for every number of inner steps.

    Lines are as long as evaluations took so many steps.

    Args:
        tasks: the name of their list, e.g. "held-out".
        trial_episodes: as of `AdaptationCurve`.
    """
    figure, (axes,) = panels(title)
    most = max(len(point.mean) for point in points) - 1
    named = Points(most + 1, trial_episodes)
    for step, colour in enumerate(step_colours(most)):
        there = [point for point in points if step < len(point.mean)]
        x = [point.environment_steps for point in there]
        low, mean, high = (np.array([of[step] for of in ends]) for ends in _ends(there))
        axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(x, mean, color=colour, marker="o", markersize=4, label=f"after {named.text(step)}")
    count_in_thousands(axes.xaxis)
    axes.set_xlabel("environment steps of training")
    axes.set_ylabel(f"return on {tasks} tasks")
    axes.legend(frameon=False)
    return figure


def _ends(points: Sequence[EvaluationPoint]) -> tuple[list[Array], list[Array], list[Array]]:
    return [one.low for one in points], [one.mean for one in points], [one.high for one in points]
