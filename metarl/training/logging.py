"""Logs through stable-baselines3's logger: TensorBoard, progress.csv and a console table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from stable_baselines3.common.logger import KVWriter, Logger, TensorBoardOutputFormat
from torch.utils.tensorboard import SummaryWriter

from metarl.runs.files import PROGRESS
from metarl.runs.progress import ITERATION, ProgressCsv

_COLUMNS = (
    ("iteration", ITERATION, "d"),
    ("steps", "rollout/environment_steps", ",d"),
    ("before", "rollout/return_before", ".2f"),
    ("after", "rollout/return_after", ".2f"),
    ("KL", "update/kl", ".4f"),
    ("std", "policy/std", ".3f"),
    ("steps/s", "time/environment_steps_per_second", ",.0f"),
    ("s/iter", "time/iteration_seconds", ".2f"),
)


def make_logger(
    run_dir: Path, start_iteration: int, table: Callable[[str], None], table_every: int
) -> Logger:
    """A logger that goes on where a run stopped.

    Args:
        start_iteration: rows and events of this and later iterations are dropped: they come again.
        table: prints a line of the console table.
        table_every: iterations a line.
    """
    resumed = any(run_dir.glob("events.out.tfevents.*"))
    tensorboard = TensorBoardOutputFormat(str(run_dir))
    if resumed:
        tensorboard.close()
        tensorboard.writer = SummaryWriter(str(run_dir), purge_step=start_iteration)
        tensorboard._is_closed = False
    writers = [
        ProgressCsv(run_dir / PROGRESS, start_iteration),
        tensorboard,
        ConsoleTable(table, table_every),
    ]
    return Logger(str(run_dir), writers)


class ConsoleTable(KVWriter):
    """A line every few iterations, of what one watches."""

    def __init__(self, table: Callable[[str], None], every: int) -> None:
        self._table = table
        self._every = every
        self._started = False

    def write(
        self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0
    ) -> None:
        if step % self._every and not key_values.get("final", False):
            return
        if not self._started:
            self._table("".join(f"{title:>13}" for title, *_ in _COLUMNS))
            self._started = True
        cells = (format(key_values[key], form) if key in key_values else "" for _, key, form in _COLUMNS)
        self._table("".join(f"{cell:>13}" for cell in cells))

    def close(self) -> None:
        """Nothing is held."""
