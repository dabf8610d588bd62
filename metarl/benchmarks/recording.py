"""What it costs to tell what training does: diagnostics, rows and charts, evaluations, figures, films."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from metarl.benchmarks.measures import Row, line, seconds
from metarl.errors import ConfigError
from metarl.experiment.build import Experiment
from metarl.experiment.training_section import TrainingConfig
from metarl.runs.checkpoint import Checkpoint
from metarl.training.films import check_films, film_recorders
from metarl.training.held_out import evaluate_run
from metarl.training.observers import Evaluated, Iteration, Observer
from metarl.training.recorders import CsvRecorder
from metarl.training.run_start import prepare_run
from metarl.training.run_training import train_run
from metarl.training.tensorboard.recorder import TensorBoardRecorder

EVALUATION, FIGURES, CHARTS = "evaluation", "its charts and figures", "its charts alone"
FRAMES, FILM = "frames at the end of a run", "a film, with the adaptation that it shows"
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
    """Seconds, and their shares of the same run's iterations, the first left out.

    Diagnostics are all that is in an iteration and in none of its phases. A run's recorders, progress.csv and
    event files, write into a folder of their own. Shares of a run are at its config's intervals: an
    evaluation every `training.evaluate_every` iterations, frames at its end, films where
    `training.record_video_every` asks for them.
    """
    plan: dict[str, Any] = {"iterations": repeats + 1, "evaluate_every": 0, "record_video_every": 0}
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
    spent = {name: [turn[name] for turn in turns] for name in turns[0]}
    seconds_of = {name: median(values) for name, values in spent.items()}
    return [
        line("iteration", "s", whole),
        line("its diagnostics", "s", diagnostics),
        line("its row and charts", "s", recorded),
        line("these two, of an iteration", "%", shares),
        *(line(name, "s", values) for name, values in spent.items()),
        *_shares(experiment.config.training, median(shares), seconds_of, median(whole)),
    ]


def _shares(training: TrainingConfig, each: float, spent: Mapping[str, float], iteration: float) -> list[Row]:
    """Of a whole run at its own intervals, in percent of its iterations without them.

    Args:
        each: of an iteration's diagnostics, row and charts.
        spent: seconds, by name.
        iteration: seconds.
    """
    between, filmed = int(training.evaluate_every), int(training.record_video_every)
    rates = {
        EVALUATION: 1 / between if between else 0.0,
        FIGURES: 1 / between if between else 0.0,
        FRAMES: 1 / max(1, int(training.iterations)),
        FILM: 1 / filmed if filmed else 0.0,
    }
    shares = {name: 100 * rate * spent.get(name, 0.0) / iteration for name, rate in rates.items()}
    evaluations = shares.pop(EVALUATION)
    records = each + sum(shares.values())
    return [
        line("records of a run: rows, charts, figures, frames, films", "%", [records]),
        line("its evaluations", "%", [evaluations]),
        line("all of these", "%", [records + evaluations]),
    ]


def _evaluation(run: Experiment, final: Checkpoint) -> dict[str, float]:
    """Seconds of an evaluation, of recording it with figures and without, of frames, and of a film."""
    started = perf_counter()
    found = evaluate_run(run, final)
    spent = {EVALUATION: perf_counter() - started}
    beginning = replace(final, iteration=0, environment_steps=0)
    for name, figures, last in ((FIGURES, True, False), (CHARTS, False, False), (FRAMES, True, True)):
        training = replace(run.config.training, figures=figures, record_video_every=1)
        with TemporaryDirectory() as folder:
            own = replace(run, config=replace(run.config, training=training, run_dir=folder))
            board = TensorBoardRecorder(own)
            board.on_start(beginning)
            spent[name] = seconds(partial(board.on_evaluation, Evaluated(final, found, last)))
            if last and _is_drawn(own):
                (films,) = film_recorders(own, board)
                spent[FILM] = seconds(partial(films.on_start, beginning))
            board.on_end()
    spent[FRAMES] = max(0.0, spent[FRAMES] - spent[FIGURES])
    return spent


def _is_drawn(run: Experiment) -> bool:
    try:
        check_films(run)
    except ConfigError:
        return False
    return True
