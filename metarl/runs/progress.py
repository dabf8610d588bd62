"""The table of a run's iterations: progress.csv."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from stable_baselines3.common.logger import KVWriter

from metarl.errors import RunError
from metarl.runs.files import PROGRESS, write_atomically

ITERATION = "iteration"


def read_progress(run_dir: Path, iterations: int) -> list[dict[str, str]]:
    """The rows of a run's first iterations.

    Raises:
        RunError: rows are missing.
    """
    with (run_dir / PROGRESS).open(newline="") as file:
        rows = list(csv.DictReader(file))[:iterations]
    if len(rows) < iterations:
        raise RunError(
            f"{run_dir / PROGRESS}: expected a row for each of {iterations} iterations, got {len(rows)}; "
            "delete the run's folder, to train it anew"
        )
    return rows


def count_rows(run_dir: Path) -> int:
    """The rows of a run's progress.csv, of which the last may be torn; 0 where there is none."""
    path = run_dir / PROGRESS
    if not path.is_file():
        return 0
    with path.open(newline="") as file:
        return sum(1 for _ in csv.DictReader(file))


class ProgressCsv(KVWriter):
    """progress.csv: a row for every iteration, appended; stable-baselines3's own writer empties the file.

    Args:
        start_iteration: rows of earlier iterations are kept, whole ones only.
    """

    def __init__(self, path: Path, start_iteration: int) -> None:
        self._path = path
        rows: list[dict[str, Any]] = []
        self._columns: list[str] = []
        if path.exists() and start_iteration > 0:
            with path.open(newline="") as file:
                reader = csv.DictReader(file)
                self._columns = list(reader.fieldnames or [])
                rows = [row for row in reader if _is_whole(row) and int(row[ITERATION]) < start_iteration]
        self._rewrite(rows)

    def write(
        self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0
    ) -> None:
        row = {key: value for key, value in key_values.items() if "csv" not in (key_excluded[key] or ())}
        new = [key for key in row if key not in self._columns]
        if new:
            with self._path.open(newline="") as file:
                rows: list[dict[str, Any]] = list(csv.DictReader(file))
            self._columns += new
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


def _is_whole(row: dict[str, Any]) -> bool:
    """A process killed while it wrote leaves a last row with too few fields."""
    return None not in row.values() and None not in row and row[ITERATION].isdigit()
