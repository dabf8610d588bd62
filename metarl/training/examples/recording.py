"""What is kept and shown of a training on labelled examples: progress.csv, TensorBoard's charts, a table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from metarl.adaptation.figures.style import png
from metarl.experiment.experiments import SupervisedExperiment
from metarl.runs.files import EVENTS, PROGRESS
from metarl.runs.progress import ITERATION, ProgressCsv
from metarl.supervised.evaluation import Scores
from metarl.training.examples.fits import Fits, fits_figure
from metarl.training.progress_bar import Progress, write_line
from metarl.training.tensorboard.events import EventWriter

Metrics = Mapping[str, float]
_FITS = "fits/before_and_after"
_MEANINGS = {
    "training/loss": "Mean loss of the queries of an iteration's tasks, at adapted parameters.",
    "training/gradient_norm": "Length of the meta-gradient before it is cut.",
    "training/learning_rate": "Of the outer step.",
    _FITS: "A new curve, the points of it that are given, and the network before and after inner steps.",
}
_COLUMNS = (
    ("iteration", ITERATION, "d"),
    ("loss", "update/loss", ".4f"),
    ("s/iter", "time/iteration_seconds", ".2f"),
)


class Recording:
    """The records of one training; a context that closes its files.

    Args:
        iteration: done before; later rows and points of an interrupted training are dropped.
        quiet: show nothing.
    """

    def __init__(self, config: SupervisedExperiment, iteration: int, quiet: bool) -> None:
        run_dir, self._every = Path(config.run_dir), int(config.training.table_every)
        self._csv = ProgressCsv(run_dir / PROGRESS, iteration)
        hidden = iteration + (iteration > 0) if any(run_dir.glob(EVENTS)) else None
        self._events = EventWriter(run_dir, hidden, meaning)
        self._quiet, self._started = quiet, False
        total = int(config.training.iterations)
        self._bar = Progress(total, "iteration", done=iteration, leave=True, lines=False, quiet=quiet)

    def iteration(self, number: int, metrics: Metrics, validation: Scores | None) -> None:
        """Keeps the row of an iteration, from 0, and shows some."""
        row = {ITERATION: number, **metrics}
        if validation is not None:
            row |= {f"evaluation/{key}": float(v) for key, v in _points(validation).items()}
            self.scores(number + 1, "validation", validation)
        self._csv.write(row, dict.fromkeys(row, ()), number)
        for column, value in metrics.items():
            self._events.scalar(column.replace("update/", "training/"), value, number + 1)
        self._events.flush()
        self._bar.advance()
        if not (self._quiet or number % self._every):
            self._show(row)

    def scores(self, iterations: int, split: str, scores: Scores) -> None:
        """Keeps an evaluation on the charts."""
        for name, value in _points(scores).items():
            self._events.scalar(f"{split}/{name}", value, iterations)
        self._events.flush()

    def fits(self, iterations: int, fits: Fits) -> None:
        """Keeps a figure of them, by the number of iterations before."""
        figure = fits_figure(fits, f"A new curve after {iterations:,} iterations")
        width, height = figure.get_size_inches() * figure.dpi
        self._events.image(_FITS, png(figure), (round(width), round(height)), iterations)
        self._events.flush()

    def _show(self, row: Metrics) -> None:
        if not self._started:
            write_line("".join(f"{title:>13}" for title, *_ in _COLUMNS))
            self._started = True
        write_line("".join(f"{format(row[key], form):>13}" for _, key, form in _COLUMNS))

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
        self._events.close()


def meaning(tag: str) -> str:
    """What a chart shows."""
    split, _, name = tag.partition("/")
    if "_after_" in name:
        return f"Mean {name.replace('_', ' ')} on {split} tasks. Few points: set smoothing to 0."
    return _MEANINGS.get(tag, "")


def _points(scores: Scores) -> dict[str, float]:
    return dict(zip(scores.columns, scores.mean.tolist(), strict=True))
