"""Pictures of an evaluation: what a number of episodes buys, and baselines beside a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from metarl.adaptation.figures.style import blank
from metarl.adaptation.measurement import Measured, SeedCurves

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_episodes_used(measured: Mapping[str, Measured], title: str) -> Figure:
    """The return by the number of episodes that adaptation used in all, a line per number of inner steps.

    Args:
        measured: by list, each with `by_episodes`.
    """
    figure, panels = _panels(measured, title)
    for axes, one in zip(panels, measured.values(), strict=True):
        before = next(iter(one.by_episodes.values())).intervals[0]
        axes.axhline(before.mean, color="0.5", linestyle=":", label="before adaptation")
        numbers = sorted(one.by_episodes)
        for steps in range(1, len(one.own.intervals)):
            found = [one.by_episodes[number].intervals[steps] for number in numbers]
            used = [number * steps for number in numbers]
            label = f"{steps} inner step{'s' * (steps > 1)}"
            (line,) = axes.plot(used, [value.mean for value in found], marker="o", label=label)
            lows, highs = [value.low for value in found], [value.high for value in found]
            axes.fill_between(used, lows, highs, color=line.get_color(), alpha=0.15, linewidth=0)
        axes.set_xscale("log")
        ticks = sorted({number * steps for number in numbers for steps in range(1, len(one.own.intervals))})
        axes.set_xticks(ticks, [str(tick) for tick in ticks], rotation=90 if len(ticks) > 8 else 0)
        axes.minorticks_off()
        axes.set_xlabel("episodes used for adaptation, all inner steps together")
        axes.legend(frameon=True, framealpha=0.8, edgecolor="none")
    return figure


def draw_beside(measured: Mapping[str, Measured], own: str, title: str) -> Figure:
    """The mean returns by inner step, with 95 % intervals, of a run and of those beside it.

    Where one of them remembers, all are by the episodes that they used.

    Args:
        measured: by list.
        own: the name of the run.
    """
    figure, panels = _panels(measured, title)
    for axes, one in zip(panels, measured.values(), strict=True):
        points = one.points
        for name, curves in {own: one.own, **one.beside}.items():
            _draw_curve(axes, name, curves, points.at)
        axes.set_xticks(points.at)
        axes.set_xlabel(points.axis)
        axes.legend(frameon=False)
    return figure


def _panels(measured: Mapping[str, Measured], title: str) -> tuple[Figure, list[Axes]]:
    figure = blank(6.4 * len(measured), 4.2, 150)
    (panels,) = figure.subplots(1, len(measured), squeeze=False)
    figure.suptitle(title)
    for axes, one in zip(panels, measured.values(), strict=True):
        axes.set_title(f"{one.phrase}, 95 % intervals", fontsize="medium")
        axes.set_ylabel("return")
        axes.grid(alpha=0.3)
    return figure, list(panels)


def _draw_curve(axes: Axes, name: str, curves: SeedCurves, at: list[int]) -> None:
    found = curves.intervals
    steps = at[: len(found)]
    (line,) = axes.plot(steps, [value.mean for value in found], marker="o", label=name)
    lows, highs = [value.low for value in found], [value.high for value in found]
    axes.fill_between(steps, lows, highs, color=line.get_color(), alpha=0.15, linewidth=0)
