"""The page Custom Scalars: adaptation, then health, for many runs side by side."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from itertools import cycle
from typing import NamedTuple

from tensorboard.plugins.custom_scalar.layout_pb2 import (
    Category,
    Chart,
    Layout,
    MarginChartContent,
    MultilineChartContent,
)

from metarl.training.tensorboard.groups import ADAPTATION, HEALTH, INTERVALS, TRAINING

_MARKS = "\u25fc\u25c6\u25b2\u2605\u271a"
"""TensorBoard's, of a band chart's lines in their order: square, diamond, triangle, star, cross."""
_RETURN = re.compile(rf"{ADAPTATION}/return_after_((\d+)_(step|episode)s?)")
_HEALTH_CHARTS = {
    "KL of an inner step": "inner/kl",
    "KL of the outer step": "update/kl",
    "Norm of inner gradients": "inner/gradient_norm",
    "Do tasks agree? Cosine of inner steps": "inner/task_cosine",
    "Do tasks agree? Cosine of outer gradients": "update/task_cosine",
    "Do support and query agree? Cosine": "inner/support_query_cosine",
    "Outer step accepted": "update/accepted",
    "Backtracks": "update/backtracks",
    "CG residual": "update/cg_residual",
    "Entropy": "policy/entropy",
    "Std": "policy/std",
    "Explained variance": "baseline/explained_variance",
}
"""Titles, and tags in their group; TensorBoard shows twelve charts of a category at once."""


class _Band(NamedTuple):
    """Tags of a line, and of the ends of its band: the line's own where the band has no width."""

    line: str
    low: str
    high: str


def page_layout(tags: Collection[str]) -> Layout:
    """The charts that have something to show, by category.

    A colour is a run, and a run has one line in a chart; in that of the returns after 0, 1, ... inner steps,
    a line for each, told apart by marks. TensorBoard smooths lines without bands alone, joins the categories
    of runs by their titles, draws a chart that several runs ask for once, and charts with bands last first.

    Args:
        tags: of the run's scalars.
    """
    health = {title: f"{HEALTH}/{name}" for title, name in _HEALTH_CHARTS.items()}
    categories = {
        "Does it adapt? Evaluation tasks, over environment steps": _banded(_adaptation(tags), tags),
        "Does it remember? Evaluation tasks, by episodes": _banded(_returns(tags, "episode"), tags),
        "Is it still improving? The tasks of training": _banded(_training(), tags),
        "Is it well? Inner steps, outer step, exploration": [
            Chart(title=title, multiline=MultilineChartContent(tag=[f"^{tag}$"]))
            for title, tag in health.items()
            if tag in tags
        ],
    }
    shown = [Category(title=title, chart=charts) for title, charts in categories.items() if charts]
    return Layout(category=shown)


def _adaptation(tags: Collection[str]) -> Iterator[tuple[str, Sequence[_Band]]]:
    """Titles, and what is drawn: gains and shares of any run, returns by inner steps."""
    together, *each = _returns(tags, "step")
    yield together
    yield "Adaptation gain", [_interval(f"{ADAPTATION}/gain", tags)]
    yield _shaded(f"{ADAPTATION}/return", "as evaluated")
    yield from each
    yield "Share of tasks made worse, beyond noise", [_line(f"{ADAPTATION}/share_of_tasks_made_worse")]
    yield _shaded(f"{ADAPTATION}/success", "as evaluated")
    yield _shaded(f"{ADAPTATION}/steps_per_episode", "as evaluated")


def _returns(tags: Collection[str], by: str) -> Iterator[tuple[str, Sequence[_Band]]]:
    """Titles, and what is drawn: the returns by inner step or by episode together, then each by itself."""
    found = (one for one in map(_RETURN.fullmatch, tags) if one is not None and one[3] == by)
    returns = sorted(found, key=lambda one: int(one[2]))
    marks = ", ".join(f"{one[2]} {mark}" for one, mark in zip(returns, cycle(_MARKS)))
    noun = "inner steps" if by == "step" else "episodes"
    yield f"Return after {marks} {noun}", [_line(one[0]) for one in returns]
    for one in returns:
        yield f"Return after {one[1].replace('_', ' ')}", [_interval(one[0], tags)]


def _training() -> Iterator[tuple[str, Sequence[_Band]]]:
    """Titles, and what is drawn."""
    yield _shaded(f"{TRAINING}/return", "as in training")
    yield "Gain as in training", [_line(f"{TRAINING}/gain")]
    yield _shaded(f"{TRAINING}/success", "as in training")
    yield "Steps per episode", [_line(f"{TRAINING}/steps_per_episode")]


def _line(tag: str) -> _Band:
    return _Band(tag, tag, tag)


def _interval(tag: str, tags: Collection[str]) -> _Band:
    """With its 95 % interval, where there is one."""
    name = tag.removeprefix(f"{ADAPTATION}/")
    found = _Band(tag, f"{INTERVALS}/{name}_low", f"{INTERVALS}/{name}_high")
    return found if found.low in tags else _line(tag)


def _shaded(tag: str, how: str) -> tuple[str, Sequence[_Band]]:
    """What was after adaptation, and what it changed; evaluations may take more steps than training."""
    name = tag.rpartition("/")[2].capitalize().replace("_", " ")
    band = _Band(f"{tag}_after", f"{tag}_before", f"{tag}_after")
    return f"{name} after adaptation {how}, shaded from before", [band]


def _banded(titled: Iterator[tuple[str, Sequence[_Band]]], tags: Collection[str]) -> list[Chart]:
    """The charts all of whose tags are there, as TensorBoard draws them in this order."""
    found = [
        Chart(title=title, margin=MarginChartContent(series=[_series(band) for band in bands]))
        for title, bands in titled
        if bands and all(tag in tags for band in bands for tag in band)
    ]
    return found[::-1]


def _series(band: _Band) -> MarginChartContent.Series:
    return MarginChartContent.Series(value=band.line, lower=band.low, upper=band.high)
