"""Time and memory of one outer update as the inner loop grows, on each rung of the memory ladder."""

from __future__ import annotations

import ctypes
import multiprocessing
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from metarl.benchmarks.measures import Row, line, meta_batch, resident, seconds
from metarl.experiment.build import Experiment, build_experiment
from metarl.experiment.experiments import ExperimentConfig
from metarl.meta_learners.outer.clipped import ClippedConfig
from metarl.meta_learners.registry import META_LEARNERS
from metarl.rollouts.rollout import MetaBatch
from metarl.training.progress_bar import track

INNER_STEPS = (1, 5, 20)
ONE_EPOCH = {"outer": "ppo", "clipped": ClippedConfig(epochs=1)}
LADDER: dict[str, tuple[str, dict[str, Any], int]] = {
    "second order, all tasks at once": ("maml", ONE_EPOCH, 10**6),
    "second order, a few tasks at once": ("maml", ONE_EPOCH, 0),
    "second order, one task at once": ("maml", ONE_EPOCH, 1),
    "second order, recomputed": ("maml", {**ONE_EPOCH, "recompute": True}, 0),
    "last step's derivatives alone": ("maml", {**ONE_EPOCH, "differentiated_steps": 1}, 0),
    "first order": ("maml", {**ONE_EPOCH, "first_order": True}, 0),
    "implicit (iMAML)": ("imaml", ONE_EPOCH, 0),
    "Reptile": ("reptile", {}, 0),
}
"""Name -> (meta-learner, its settings, tasks at once)."""


def memory(experiment: Experiment, repeats: int) -> list[Row]:
    """Seconds of an update with K inner steps, and the memory that it adds at its peak."""
    rows = []
    for name in track(LADDER, len(LADDER), "row", title="memory"):
        for inner_steps in INNER_STEPS:
            update = partial(seconds, update_of(experiment, name, inner_steps))
            row = line(f"{name}, K = {inner_steps}", "s", [update() for _ in range(repeats + 1)][1:])
            with multiprocessing.get_context("spawn").Pool(1) as child:
                row["peak_gib"] = child.apply(peak_memory, (name, inner_steps, experiment.config))
            rows.append(row)
    return rows


def update_of(experiment: Experiment, name: str, inner_steps: int) -> Callable[[], object]:
    """An update on one collected batch, which is the support of every inner step."""
    kind, settings, tasks_at_once = LADDER[name]
    theta, batch = meta_batch(experiment)
    registered, given = META_LEARNERS[kind], experiment.config.meta_learner
    known = {field.name for field in fields(registered.config)}
    shared = {key: getattr(given, key) for key in ("inner_step_size", "inner_objective") if key in known}
    config = registered.config(**shared, **settings, inner_steps=inner_steps)
    if tasks_at_once:
        task_map = replace(experiment.task_map, chunk_size=tasks_at_once)
    else:
        task_map = experiment.task_map
    learner = registered.of(experiment.policy, config, task_map)
    long = MetaBatch(batch.support[:1] * learner.inner_steps, batch.query)
    return partial(learner.update, learner.start(theta), long)


def peak_memory(name: str, inner_steps: int, config: ExperimentConfig) -> float:
    """GiB that one update adds, at its peak, to a process that holds the batch."""
    torch.set_num_threads(1)
    update = update_of(build_experiment(config), name, inner_steps)
    ctypes.CDLL(None).malloc_trim(0)  # or memory freed but not yet returned would not be counted
    before = resident("VmRSS")
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again
    update()
    return resident("VmHWM") - before
