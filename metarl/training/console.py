"""What a person sees of a training run: a table, and a progress bar."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from metarl.experiment.experiments import ExperimentConfig
from metarl.experiment.training_section import TrainingConfig
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.progress import ITERATION
from metarl.training.next_commands import CHARTS, charts_command
from metarl.training.observers import Iteration, Observer
from metarl.training.progress_bar import Progress, write_line

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


def console_observers(config: ExperimentConfig) -> list[Observer]:
    """A heading, a table and, on a terminal, a progress bar, which stands on the standard error."""
    settings = config.training
    table = ConsoleTable(write_line, settings.table_every)
    return [Heading(write_line, config), ProgressBar(settings), table]


class Heading(Observer):
    """Lines that say what is trained where, what shows its charts, and from which iteration on."""

    def __init__(self, write: Callable[[str], None], config: ExperimentConfig) -> None:
        self._write = write
        self._config = config

    def on_start(self, start: Checkpoint) -> None:
        config, settings = self._config, self._config.training
        device = next(iter(start.state.parameters.values())).device.type
        what = f"{config.environment.id}: {config.meta_learner_name} on {device}"
        self._write(f"{what}, run folder {config.run_dir}")
        self._write(f"Charts: {charts_command(Path(config.run_dir))}   # then {CHARTS}")
        if start.iteration:
            budget = settings.environment_steps
            end = f"{budget:,} environment steps" if budget else settings.iterations
            self._write(f"Resumed at iteration {start.iteration} of {end}.")

    def on_iteration(self, iteration: Iteration) -> None:
        return


class ConsoleTable(Observer):
    """A line every few iterations, of what one watches, and one of the last iteration.

    Args:
        table: prints a line.
        every: shows iterations whose number is a multiple of it.
    """

    def __init__(self, table: Callable[[str], None], every: int) -> None:
        self._table = table
        self._every = every
        self._waiting: dict[str, Any] | None = None

    def on_start(self, start: Checkpoint) -> None:
        self._table("".join(f"{title:>13}" for title, *_ in _COLUMNS))

    def on_iteration(self, iteration: Iteration) -> None:
        row = {ITERATION: iteration.number, **iteration.metrics}
        self._waiting = row if iteration.number % self._every else None
        if self._waiting is None:
            self._show(row)

    def on_end(self) -> None:
        if self._waiting is not None:
            self._show(self._waiting)

    def _show(self, row: dict[str, Any]) -> None:
        cells = (format(row[key], form) if key in row else "" for _, key, form in _COLUMNS)
        self._table("".join(f"{cell:>13}" for cell in cells))


class ProgressBar(Observer):
    """A bar of the iterations or, where the settings bound them, of the environment steps.

    Args:
        lines: whether lines stand for it where there is no terminal; beside a table they need not.
    """

    def __init__(self, settings: TrainingConfig, *, lines: bool = False) -> None:
        self._lines = lines
        self._budget = int(settings.environment_steps)
        self._iterations = int(settings.iterations)

    def on_start(self, start: Checkpoint) -> None:
        total, unit = self._budget or self._iterations, "step" if self._budget else "iteration"
        self._bar = Progress(total, unit, done=self._done(start), leave=True, lines=self._lines)

    def on_iteration(self, iteration: Iteration) -> None:
        before, after = (iteration.metrics[f"rollout/return_{name}"] for name in ("before", "after"))
        done = self._done(iteration.after) - self._done(iteration.before)
        self._bar.advance(done, f"before={before:.1f}, after={after:.1f}")

    def on_end(self) -> None:
        self._bar.close()

    def _done(self, checkpoint: Checkpoint) -> int:
        return checkpoint.environment_steps if self._budget else checkpoint.iteration
