"""What the benchmarks share: measuring in turn, and an experiment's first rollout."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from metarl_envs.tasks import Tasks

from metarl.adaptation.meta_batch import collect_meta_batch
from metarl.experiment.build import Experiment
from metarl.math.parameters import Parameters, repeat
from metarl.policies.policy import TaskState
from metarl.rollouts.rollout import MetaBatch
from metarl.rollouts.sampler import RolloutSampler
from metarl.training.progress_bar import track

Row = dict[str, Any]
TORCH_THREADS = torch.get_num_threads()


def alternate(measures: Mapping[str, Callable[[], float]], unit: str, repeats: int) -> list[Row]:
    """Measures the first, the second, the first, the third, ..., so that each pair runs under the same load.

    Turn 0 warms up.
    """
    (name, ours), *references = measures.items()
    bar = track(range(repeats + 1), repeats + 1, "turn", title=name)
    turns = [[(ours(), measure()) for _, measure in references] for _ in bar][1:]
    rows = [line(name, unit, [mine for turn in turns for mine, _ in turn])]
    for (reference, _), pairs in zip(references, zip(*turns, strict=True), strict=True):
        mine, others = zip(*pairs, strict=True)
        rows.append(line(reference, unit, others, mine))
    return rows


def line(name: str, unit: str, values: Sequence[float], ours: Sequence[float] = ()) -> Row:
    """A row of the values; with `ours`, measured in pairs with them, also how many times as fast ours is."""
    row: Row = {"name": name, "unit": unit, "median": median(values), "values": values}
    if ours:
        sign = -1 if unit == "s" else 1
        ratios = [(mine / other) ** sign for mine, other in zip(ours, values, strict=True)]
        row |= {"ours": ours, "median_of_speedups": median(ratios)}
        row["speedup_of_medians"] = (median(ours) / median(values)) ** sign
    return row


def seconds(call: Callable[[], Any], threads: int = 1) -> float:
    """Seconds that a call takes, on a number of torch threads."""
    torch.set_num_threads(threads)
    started = time.perf_counter()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    elapsed = time.perf_counter() - started
    torch.set_num_threads(1)
    return elapsed


def resident(field: str) -> float:
    """GiB of this process: now (VmRSS) or at its peak (VmHWM)."""
    return int(Path("/proc/self/status").read_text().split(f"{field}:")[1].split()[0]) / 2**20


def start(experiment: Experiment) -> tuple[RolloutSampler, Parameters, Tasks]:
    seed, sampling = experiment.config.seed, experiment.config.sampling
    initial = experiment.learner.initial_parameters(torch.Generator().manual_seed(seed))
    theta = {name: value.to(experiment.device) for name, value in initial.items()}
    rollouts = experiment.sampler(sampling.tasks, sampling.episodes)
    return rollouts, theta, experiment.held_out_tasks(sampling.tasks, seed)


def meta_batch(experiment: Experiment) -> tuple[Parameters, MetaBatch]:
    """The initial parameters, and the meta-batch that training would collect with them."""
    (rollouts, theta, tasks), config = start(experiment), experiment.config
    return theta, collect_meta_batch(experiment.walk(rollouts), theta, tasks, (config.seed,)).batch


def rollout_rate(experiment: Experiment) -> Callable[[], float]:
    """Environment steps/s of one rollout of the config's size."""
    rollouts, theta, tasks = start(experiment)
    current = TaskState(repeat(theta, experiment.config.sampling.tasks))

    def rate() -> float:
        started = time.perf_counter()
        steps = rollouts.collect(current, tasks, (experiment.config.seed,)).environment_steps
        return steps / (time.perf_counter() - started)

    return rate
