"""How far work is: a bar on a terminal, plain lines elsewhere, and nothing where quiet is asked for."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TextIO, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
_LINES = 10
"""Lines that stand for a whole bar."""


class Progress:
    """Progress on the standard error: a bar on a terminal, else a line at every tenth of the way.

    Args:
        total: units in all.
        unit: one of them, e.g. "step".
        title: what is under way.
        done: units done before.
        leave: whether a bar stays when it is closed.
        row: of the terminal, from that of the first bar.
        lines: whether lines stand for the bar where there is no terminal.
        quiet: show nothing.
    """

    def __init__(
        self,
        total: int,
        unit: str,
        *,
        title: str = "",
        done: int = 0,
        leave: bool = False,
        row: int | None = None,
        lines: bool = True,
        quiet: bool = False,
    ) -> None:
        terminal = sys.stderr.isatty()
        self._total, self._unit, self._title, self._done = total, unit, title, done
        self._lines = lines and not quiet and not terminal
        self._bar = tqdm(
            total=total,
            initial=done,
            desc=title or None,
            unit=unit,
            unit_scale=total >= 10_000,
            leave=leave,
            position=row,
            dynamic_ncols=True,
            disable=quiet or not terminal,
        )

    def advance(self, units: int = 1, note: str = "") -> None:
        """Shows that so many more units are done."""
        before, self._done = self._done, self._done + units
        if note:
            self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(units)
        tenths = (done * _LINES // max(self._total, 1) for done in (before, self._done))
        if self._lines and next(tenths) < next(tenths):
            parts = [self._title, f"{self._unit} {self._done:,} of {self._total:,}", note]
            print(*filter(None, parts), sep=", ", file=sys.stderr, flush=True)

    def describe(self, title: str) -> None:
        """Changes what is under way."""
        self._title = title
        self._bar.set_description(title)

    def close(self) -> None:
        self._bar.close()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def track(
    items: Iterable[Item],
    total: int,
    unit: str,
    *,
    title: str = "",
    row: int | None = None,
    leave: bool = False,
    quiet: bool = False,
) -> Iterator[Item]:
    """The items, with a `Progress` that counts those done."""
    with Progress(total, unit, title=title, row=row, leave=leave, quiet=quiet) as progress:
        for item in items:
            yield item
            progress.advance()


def write_line(line: str, file: TextIO | None = None) -> None:
    """Prints a line, on the standard output unless another is given, above the bars if there are any."""
    tqdm.write(line, file=file or sys.stdout)


def add_quiet(parser: argparse.ArgumentParser) -> None:
    """Gives a command its `--quiet`."""
    parser.add_argument("--quiet", action="store_true", help="print errors and final results alone")
