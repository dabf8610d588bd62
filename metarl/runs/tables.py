"""Tables for a person: on a terminal and as Markdown, with numbers that can be read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table as RichTable

from metarl.adaptation.points import Points
from metarl.adaptation.statistics import Interval

_WIDEST = 10_000  # characters; a terminal wraps what is wider than itself


@dataclass(frozen=True)
class Table:
    """Cells of text; columns without any text are left out.

    Args:
        header: titles, [column].
        rows: cells, [row][column].
        left: titles of columns that are aligned to the left, as the first one is.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: Collection[str] = ()

    @property
    def _columns(self) -> list[tuple[str, list[str]]]:
        columns = [(title, [row[i] for row in self.rows]) for i, title in enumerate(self.header)]
        return [(title, cells) for title, cells in columns if any(cells)]

    def rich(self) -> RichTable:
        """For a terminal."""
        table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for i, (title, _) in enumerate(self._columns):
            left = not i or title in self.left
            table.add_column(title, justify="left" if left else "right", no_wrap=True)
        for cells in zip(*(cells for _, cells in self._columns), strict=True):
            table.add_row(*cells)
        return table

    def text(self) -> str:
        """As plain text, without an end of line."""
        console = Console(width=_WIDEST, color_system=None, highlight=False, markup=False)
        with console.capture() as captured:
            console.print(self.rich())
        return "\n".join(line.rstrip() for line in captured.get().splitlines())

    def markdown(self) -> str:
        """As Markdown, with an end of line."""
        titles = [title for title, _ in self._columns]
        lines = [titles, ["---"] + ["---:"] * (len(titles) - 1)]
        lines += [list(cells) for cells in zip(*(cells for _, cells in self._columns), strict=True)]
        return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


def number_text(value: float) -> str:
    """Two digits behind the point; of numbers from 1000 on none: -13.54, 12,345."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.2f}"


def interval_table(points: Points, intervals: Sequence[Interval]) -> Table:
    """Mean returns and their 95 % intervals, a row per point of a curve."""
    rows = [
        (f"{number}", number_text(interval.mean), interval_text(interval))
        for number, interval in zip(points.at, intervals, strict=True)
    ]
    return Table((points.axis, "mean return", "95 % interval"), rows)


def interval_text(interval: Interval) -> str:
    """ "[-15.61, -11.48]"; nothing where there is no interval."""
    low, high = interval.low, interval.high
    return "" if np.isnan(low) or np.isnan(high) else f"[{number_text(low)}, {number_text(high)}]"


def measured_text(interval: Interval) -> str:
    """ "-13.54 [-15.61, -11.48]"."""
    return f"{number_text(interval.mean)} {interval_text(interval)}".rstrip()


def task_text(task: Mapping[str, Any]) -> str:
    """ "goal [-0.17, 0.27]", "velocity 1.5", "direction -1"; of many numbers their range."""
    return ", ".join(f"{name.replace('_', ' ')} {values_text(value)}" for name, value in task.items())


def values_text(value: Any) -> str:
    """The numbers of one parameter."""
    values = np.ravel(value)
    if values.size > 3:
        return f"{_plain(values.min())} to {_plain(values.max())}"
    numbers = ", ".join(map(_plain, values.tolist()))
    return f"[{numbers}]" if values.size > 1 else numbers


def _plain(value: float) -> str:
    """Two digits behind the point, four of numbers below 0.1, and no zeros at the end: -1, 1.5, 0.0125."""
    digits = 2 if abs(value) >= 0.1 else 4
    return f"{round(float(value), digits) + 0.0:.{digits}f}".rstrip("0").rstrip(".")
