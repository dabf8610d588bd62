"""What a run folder keeps of its iterations: progress.csv, and policies on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from metarl.experiment.training_section import TrainingConfig
from metarl.runs.checkpoint import Checkpoint, save_snapshot
from metarl.runs.files import PROGRESS
from metarl.runs.progress import ITERATION, ProgressCsv
from metarl.training.observers import Iteration, Observer

REJECTION = "update/rejection"
"""Column of why an outer step was rejected."""


class CsvRecorder(Observer):
    """progress.csv, a row for each iteration; rows of iterations that come again are dropped."""

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / PROGRESS

    def on_start(self, start: Checkpoint) -> None:
        self._writer = ProgressCsv(self._path, start.iteration)

    def on_iteration(self, iteration: Iteration) -> None:
        row: dict[str, Any] = {ITERATION: iteration.number, **iteration.metrics}
        row[REJECTION] = iteration.rejection or ""
        self._writer.write(row, dict.fromkeys(row, ()), iteration.number)


class SnapshotRecorder(Observer):
    """Policies kept beside the last one: at the start of a run, and as often as the settings say."""

    def __init__(self, run_dir: Path, settings: TrainingConfig) -> None:
        self._run_dir = run_dir
        self._settings = settings

    def on_start(self, start: Checkpoint) -> None:
        if self._settings.snapshot_every and not start.iteration:
            save_snapshot(self._run_dir, start)

    def on_iteration(self, iteration: Iteration) -> None:
        taken = iteration.before.environment_steps, iteration.after.environment_steps
        if self._settings.is_snapshot(*taken):
            save_snapshot(self._run_dir, iteration.after)
