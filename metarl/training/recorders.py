"""What a run folder keeps of its iterations: progress.csv, TensorBoard's events, and policies on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stable_baselines3.common.logger import KVWriter, TensorBoardOutputFormat
from torch.utils.tensorboard import SummaryWriter

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
        _write(self._writer, {**_row(iteration), REJECTION: iteration.rejection or ""}, iteration.number)


class TensorBoardRecorder(Observer):
    """TensorBoard's events; those of iterations that come again are hidden."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir

    def on_start(self, start: Checkpoint) -> None:
        resumed = any(self._run_dir.glob("events.out.tfevents.*"))
        self._writer = TensorBoardOutputFormat(str(self._run_dir))
        if resumed:
            self._writer.close()
            self._writer.writer = SummaryWriter(str(self._run_dir), purge_step=start.iteration)
            self._writer._is_closed = False

    def on_iteration(self, iteration: Iteration) -> None:
        text = {REJECTION: iteration.rejection} if iteration.rejection else {}
        _write(self._writer, {**_row(iteration), **text}, iteration.number)

    def on_end(self) -> None:
        self._writer.close()


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


def recorders(run_dir: Path, settings: TrainingConfig) -> list[Observer]:
    """All that keep a run; what cannot be read anew comes before the row that says it is there."""
    return [SnapshotRecorder(run_dir, settings), CsvRecorder(run_dir), TensorBoardRecorder(run_dir)]


def _row(iteration: Iteration) -> dict[str, Any]:
    return {ITERATION: iteration.number, **iteration.metrics}


def _write(writer: KVWriter, row: dict[str, Any], step: int) -> None:
    writer.write(row, dict.fromkeys(row, ()), step)
