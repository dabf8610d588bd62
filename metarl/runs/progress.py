"""The table of a run's iterations: progress.csv."""

from __future__ import annotations

import csv
import io
import math
import warnings
from pathlib import Path
from typing import Any, NamedTuple

from stable_baselines3.common.logger import KVWriter

from metarl.errors import RunError
from metarl.runs.files import PROGRESS, write_atomically

ITERATION = "iteration"


class _Found(NamedTuple):
    """What a file holds: its columns, its whole rows by their iteration, and whether it has others."""

    columns: list[str]
    rows: dict[int, dict[str, Any]]
    damaged: bool


def read_progress(run_dir: Path, iterations: int, column: str) -> list[float]:
    """A column of a run's first iterations.

    Raises:
        RunError: rows are missing, or hold no numbers there.
    """
    rows = _find(run_dir / PROGRESS).rows
    lost = [number for number in range(iterations) if not _is_number(rows.get(number, {}).get(column))]
    if lost:
        raise RunError(
            f"{run_dir / PROGRESS}: expected a row with {column} for each of {iterations} iterations, got "
            f"none of {len(lost)}, of iteration {lost[0]} first; delete the run's folder, to train it anew"
        )
    return [float(rows[number][column]) for number in range(iterations)]


def count_rows(run_dir: Path) -> int:
    """The whole rows of a run's progress.csv; 0 where there is none."""
    return len(_find(run_dir / PROGRESS).rows)


class ProgressCsv(KVWriter):
    """progress.csv: a row for every iteration, appended; stable-baselines3's own writer empties the file.

    Args:
        start_iteration: rows of earlier iterations are kept, whole ones only and each once.

    Warns:
        UserWarning: rows of earlier iterations are missing; a file with damaged ones is kept beside.
    """

    def __init__(self, path: Path, start_iteration: int) -> None:
        self._path = path
        found = _find(path) if start_iteration else _Found([], {}, False)
        self._columns = found.columns
        kept = {number: found.rows[number] for number in sorted(found.rows) if number < start_iteration}
        if len(kept) < start_iteration:
            where = _keep_damaged(path) if found.damaged else "start a new run to have them all"
            warnings.warn(
                f"{path}: expected a row for each of {start_iteration} iterations, got {len(kept)} whole "
                f"ones: training goes on, charts and comparisons lack the others; {where}",
                stacklevel=2,
            )
        self._rewrite([*kept.values()])

    def write(
        self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0
    ) -> None:
        row = {key: value for key, value in key_values.items() if "csv" not in (key_excluded[key] or ())}
        new = [key for key in row if key not in self._columns]
        if new:
            rows = [*_find(self._path).rows.values()]
            self._columns = [*self._columns, *new]
            self._rewrite([*rows, row])
            return
        with self._path.open("a", newline="") as file:
            file.write(self._text([row], header=False))

    def close(self) -> None:
        """Every row is on disk already."""

    def _rewrite(self, rows: list[dict[str, Any]]) -> None:
        write_atomically(self._path, self._text(rows, header=True).encode())

    def _text(self, rows: list[dict[str, Any]], header: bool) -> str:
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, self._columns, restval="", lineterminator="\n")
        if header and self._columns:
            writer.writeheader()
        writer.writerows(rows)
        return buffer.getvalue()


def _find(path: Path) -> _Found:
    """Reads line by line, so that a stray quote costs its own row alone; a torn last line is no damage."""
    if not path.is_file():
        return _Found([], {}, False)
    first, *lines = path.read_bytes().decode(errors="replace").split("\n")
    columns = _fields(first)
    if ITERATION not in columns:
        return _Found([], {}, bool(first))
    rows = {}
    for line in lines:
        row = dict(zip(columns, fields, strict=True)) if len(fields := _fields(line)) == len(columns) else {}
        if (number := row.get(ITERATION, "")).isascii() and number.isdecimal() and len(number) < 19:
            rows[int(number)] = row
    return _Found(columns, rows, len(rows) < len(lines) - 1)


def _fields(line: str) -> list[str]:
    try:
        return next(csv.reader([line.replace("\0", "\ufffd").rstrip("\r")]), [])
    except csv.Error:
        return []


def _keep_damaged(path: Path) -> str:
    beside = path.with_name(path.name + ".damaged")
    write_atomically(beside, path.read_bytes())
    return f"the damaged file is kept as {beside.name}"


def _is_number(text: str | None) -> bool:
    try:
        return text is not None and math.isfinite(float(text))
    except ValueError:
        return False
