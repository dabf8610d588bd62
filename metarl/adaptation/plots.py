"""Pictures of adaptation as PNG files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from metarl.adaptation.evaluation import AdaptationCurve
from metarl.adaptation.figures.curves import adaptation_figure
from metarl.adaptation.statistics import Interval


def plot_adaptation(
    curves: Mapping[str, AdaptationCurve],
    title: str,
    path: Path,
    intervals: Mapping[str, Sequence[Interval]] = MappingProxyType({}),
) -> None:
    """Draws every task's return by inner step, and the means with their 95 % intervals, to a file.

    Args:
        curves: by the name of their task list.
        path: its ending chooses the kind: .png, .svg, ...
        intervals: by inner steps, where they are not the curve's own over its tasks.
    """
    adaptation_figure(curves, title, intervals).savefig(path)
