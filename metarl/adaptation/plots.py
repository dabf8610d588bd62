"""Pictures of adaptation as PNG files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from metarl.adaptation.evaluation import AdaptationCurve
from metarl.adaptation.figures.curves import adaptation_figure


def plot_adaptation(curves: Mapping[str, AdaptationCurve], title: str, path: Path) -> None:
    """Draws every task's return by inner step, and the means with their 95 % intervals, to a file.

    Args:
        curves: by the name of their task list.
        path: its ending chooses the kind: .png, .svg, ...
    """
    adaptation_figure(curves, title).savefig(path)
