"""What the figures share: size, grid, and the colours of before and after.

matplotlib is imported by what draws, when it draws: it takes 26 MiB and half a second.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from metarl_envs.task_parameters import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

BEFORE, AFTER = "tab:gray", "tab:blue"
_PIXELS_PER_INCH = 120


def panels(
    title: str, columns: int = 1, *, width: float = 5.0, height: float = 3.4
) -> tuple[Figure, list[Axes]]:
    """A figure with panels beside each other that share their axes; the width, inches, is of all."""
    figure = blank(width, height, _PIXELS_PER_INCH)
    axes = list(figure.subplots(1, columns, sharex=True, sharey=True, squeeze=False)[0])
    for one in axes:
        one.grid(alpha=0.3)
        if columns > 1:
            one.locator_params(nbins=4)
    figure.suptitle(title, fontsize=10)
    return figure, axes


def blank(width: float, height: float, pixels_per_inch: int) -> Figure:
    """An empty figure of so many inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=pixels_per_inch, layout="constrained")


def legend_below(figure: Figure) -> None:
    """One below the axes, where it hides nothing."""
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)


def count_in_thousands(axis: Axis) -> None:
    """Labels an axis of counts by 10k, 2M."""
    from matplotlib.ticker import EngFormatter

    axis.set_major_formatter(EngFormatter(sep=""))


def png(figure: Figure) -> bytes:
    """The figure as a PNG file."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def step_colours(steps: int) -> list[tuple[float, ...]]:
    """A colour for every number of inner steps, dark before any, brighter with each."""
    return colours(np.arange(steps + 1.0), "viridis", 0.0, 1.15 * max(steps, 1))


def colours(values: Array, name: str, low: float, high: float) -> list[tuple[float, ...]]:
    """The colours of values on a map that runs from low to high."""
    from matplotlib.cm import ScalarMappable

    mapped = ScalarMappable(cmap=name)
    mapped.set_clim(low, high)
    return [tuple(one) for one in mapped.to_rgba(values)]
