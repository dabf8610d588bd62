"""CPU time and peak memory of a training's iteration as its tasks become more."""

from __future__ import annotations

import multiprocessing
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from metarl.benchmarks.measures import Row, line, resident
from metarl.experiment.build import build_experiment
from metarl.experiment.experiments import ExperimentConfig
from metarl.training.progress_bar import track
from metarl.training.run_start import prepare_run
from metarl.training.run_training import train_run

FACTORS = (1, 10, 100)
"""Of the config's tasks."""
_WARM_UP = 2
"""Tasks of an iteration before: what the first one compiles is not counted."""


def growth(config: ExperimentConfig, repeats: int, factors: tuple[int, ...] = FACTORS) -> list[Row]:
    """CPU seconds of an iteration, on all threads and with its records, and the process's peak memory.

    Every iteration is a new process's.
    """
    rows = []
    for factor in track(factors, len(factors), "row", title="growth"):
        tasks = factor * int(config.sampling.tasks)
        with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as child:
            measured = [child.apply(iteration_of, (config, tasks)) for _ in range(repeats)]
        seconds, peaks = zip(*measured, strict=True)
        rows.append({**line(f"{tasks:,} tasks", "s", seconds), "peak_mib": max(peaks)})
    return rows


def iteration_of(config: ExperimentConfig, tasks: int) -> tuple[float, float]:
    """CPU seconds of an iteration of so many tasks, and MiB of the process at its peak."""
    torch.set_num_threads(1)
    _train(config, _WARM_UP)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again
    started = time.process_time()
    _train(config, tasks)
    return time.process_time() - started, resident("VmHWM") * 1024


def _train(config: ExperimentConfig, tasks: int) -> None:
    """One iteration, without evaluations."""
    plan: dict[str, Any] = {"iterations": 1, "evaluate_every": 0, "record_video_every": 0}
    with TemporaryDirectory() as folder:
        own = replace(
            config,
            sampling=replace(config.sampling, tasks=tasks),
            training=replace(config.training, **plan),
            run_dir=str(Path(folder, "run")),
        )
        experiment = build_experiment(own)
        train_run(experiment, prepare_run(own, False, experiment))
