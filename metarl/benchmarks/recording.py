"""What it costs to tell what training does: diagnostics, rows and charts, figures of an evaluation."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from metarl.benchmarks.measures import Row, line, seconds
from metarl.experiment.build import Experiment
from metarl.runs.checkpoint import Checkpoint
from metarl.training.held_out import evaluate_run
from metarl.training.observers import Evaluated, Iteration, Observer
from metarl.training.recorders import CsvRecorder
from metarl.training.run_training import prepare_run, train_run
from metarl.training.tensorboard.recorder import TensorBoardRecorder

_PHASES = ("sampling", "advantages", "adaptation", "update")


class Timed(Observer):
    """Seconds of iterations, of what in them is none of their phases, and of recorders that record them."""

    def __init__(self, recorders: list[Observer]) -> None:
        self._recorders = recorders
        self.iterations: list[float] = []
        self.diagnostics: list[float] = []
        self.recorded: list[float] = []

    def on_start(self, start: Checkpoint) -> None:
        for recorder in self._recorders:
            recorder.on_start(start)

    def on_iteration(self, iteration: Iteration) -> None:
        started = perf_counter()
        for recorder in self._recorders:
            recorder.on_iteration(iteration)
        self.recorded.append(perf_counter() - started)
        spent = iteration.metrics
        self.iterations.append(spent["time/iteration_seconds"])
        phases = sum(spent[f"time/{phase}_seconds"] for phase in _PHASES)
        self.diagnostics.append(self.iterations[-1] - phases)


def recording(experiment: Experiment, repeats: int) -> list[Row]:
    """Seconds, and their share of the same run's iterations, the first left out; and those of figures.

    Diagnostics are all that is in an iteration and in none of its phases. A run's recorders, progress.csv and
    event files, write into a folder of their own.
    """
    plan: dict[str, Any] = {"iterations": repeats + 1, "evaluate_every": 0}
    training = replace(experiment.config.training, **plan)
    with TemporaryDirectory() as folder:
        run, apart = (
            replace(
                experiment, config=replace(experiment.config, training=training, run_dir=f"{folder}/{name}")
            )
            for name in ("run", "apart")
        )
        start = prepare_run(run.config, False, run)
        Path(apart.config.run_dir).mkdir()
        timed = Timed([CsvRecorder(Path(apart.config.run_dir)), TensorBoardRecorder(apart)])
        final = train_run(run, start, [timed])
        turns = [_evaluation(run, final) for _ in range(repeats + 1)][1:]
    whole, diagnostics, recorded = (one[1:] for one in (timed.iterations, timed.diagnostics, timed.recorded))
    shares = [100 * (a + b) / c for a, b, c in zip(diagnostics, recorded, whole, strict=True)]
    names = ("evaluation", "its charts and figures", "its charts alone")
    return [
        line("iteration", "s", whole),
        line("its diagnostics", "s", diagnostics),
        line("its row and charts", "s", recorded),
        line("these two, of an iteration", "%", shares),
        *(line(name, "s", values) for name, values in zip(names, zip(*turns, strict=True), strict=True)),
    ]


def _evaluation(run: Experiment, final: Checkpoint) -> list[float]:
    """Seconds of an evaluation, and of recording it with figures and without."""
    started = perf_counter()
    found = evaluate_run(run, final)
    spent = [perf_counter() - started]
    for figures in (True, False):
        training = replace(run.config.training, figures=figures)
        with TemporaryDirectory() as folder:
            config = replace(run.config, training=training, run_dir=folder)
            board = TensorBoardRecorder(replace(run, config=config))
            board.on_start(replace(final, iteration=0))
            spent.append(seconds(partial(board.on_evaluation, Evaluated(final, found))))
            board.on_end()
    return spent
