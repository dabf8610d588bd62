"""Times a config's sampling, update or whole iteration, in turn with references on the same machine:
python scripts/benchmark.py sampler|update|iteration --config configs/X.yaml [--section.key value ...]."""

from __future__ import annotations

import argparse
import ctypes
import json
import multiprocessing
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from benchmark_references import bare_references, vector_references
from jsonargparse.typing import PositiveInt
from metarl_envs.tasks import Tasks
from tqdm import tqdm

from metarl.build import Experiment, build_experiment
from metarl.config import ExperimentConfig, read_config
from metarl.errors import ConfigError, MetaRLError, RunError
from metarl.math.parameters import Parameters, flatten, repeat
from metarl.math.task_map import available_cpus
from metarl.meta_learners.curvature import CurvatureProduct, generic_curvature_product
from metarl.meta_learners.learner import LearnerState
from metarl.meta_learners.maml_trpo import MamlTrpoConfig
from metarl.meta_learners.mlp_curvature import InnerRule, mlp_curvature_product
from metarl.objectives import inner_loss, mean_kl
from metarl.rollout import Batch, MetaBatch, select_task
from metarl.run_training import Reporter, prepare_run, run_training
from metarl.sampling.rollout_sampler import RolloutSampler
from metarl.training.meta_batch import collect_meta_batch

Row = dict[str, Any]
TORCH_THREADS = torch.get_num_threads()
HAND, GENERIC, RETAINED = "hand-derived product", "torch.func product", "double-backward product"
THREADS = {HAND: 1, GENERIC: 1, RETAINED: TORCH_THREADS, f"{RETAINED}, 1 thread": 1}


def alternate(measures: Mapping[str, Callable[[], float]], unit: str, repeats: int) -> list[Row]:
    """Measures the first, the second, the first, the third, ...: pairs see one machine. Turn 0 warms up."""
    (name, ours), *references = measures.items()
    bar = tqdm(range(repeats + 1), desc=name, unit="turn", leave=False)
    turns = [[(ours(), measure()) for _, measure in references] for _ in bar][1:]
    rows = [line(name, unit, [mine for turn in turns for mine, _ in turn])]
    for (reference, _), pairs in zip(references, zip(*turns, strict=True), strict=True):
        mine, others = zip(*pairs, strict=True)
        rows.append(line(reference, unit, others, mine))
    return rows


def line(name: str, unit: str, values: Sequence[float], ours: Sequence[float] = ()) -> Row:
    """With `ours`, measured in pairs with the values, also how many times as fast ours is."""
    row: Row = {"name": name, "unit": unit, "median": median(values), "values": values}
    if ours:
        sign = -1 if unit == "s" else 1
        ratios = [(mine / other) ** sign for mine, other in zip(ours, values, strict=True)]
        row |= {"ours": ours, "median_of_speedups": median(ratios)}
        row["speedup_of_medians"] = (median(ours) / median(values)) ** sign
    return row


def sampler(experiment: Experiment, repeats: int) -> list[Row]:
    """Environment steps/s of a rollout, policy included; of other simulators, under random actions."""
    (rollouts, theta, tasks), config = start(experiment), experiment.config
    current = repeat(theta, config.sampling.tasks)

    def rate() -> float:
        started = time.perf_counter()
        steps = rollouts.collect(current, tasks, (config.seed,)).environment_steps
        return steps / (time.perf_counter() - started)

    with ExitStack() as stack:
        others = vector_references(config, stack)  # forks, so before anything that starts threads
        measures = {"rollout, policy included": rate, **bare_references(config, stack), **others}
        return alternate(measures, "steps/s", repeats)


def update(experiment: Experiment, repeats: int) -> list[Row]:
    """Seconds of the update on a collected meta-batch, and of its curvature product had in other ways; their
    memory, and how far they are from the double-backward product, relative to it."""
    if not isinstance(experiment.config.meta_learner, MamlTrpoConfig):
        raise ConfigError(f"meta_learner.name: expected maml_trpo, got {experiment.config.meta_learner_name}")
    theta, batch = meta_batch(experiment)
    whole = partial(seconds, partial(experiment.learner.update, LearnerState(theta), batch))
    turns = tqdm(range(repeats + 1), desc="learner.update", leave=False)
    rows = [line("learner.update", "s", [whole() for _ in turns][1:])]
    make = {kind: partial(product, kind, experiment, theta, batch) for kind in THREADS}
    kept = {f"prepare {k}": partial(seconds, make[k], n) for k, n in THREADS.items() if k != GENERIC}
    rows += alternate(kept, "s", repeats)
    products, vector = {kind: call() for kind, call in make.items()}, torch.randn_like(flatten(theta))
    calls = {k: partial(seconds, partial(products[k], vector), n) for k, n in THREADS.items()}
    found = alternate(calls, "s", repeats)
    images = {kind: product(vector) for kind, product in products.items()}
    del products, calls
    for row in tqdm(found, desc="memory", leave=False):
        error = images[row["name"]] - images[RETAINED]
        row["relative_difference"] = (error.norm() / images[RETAINED].norm()).item()
        with multiprocessing.get_context("spawn").Pool(1) as child:
            row["peak_gib"] = child.apply(peak_memory, (row["name"], experiment.config))
    return rows + found


def seconds(call: Callable[[], Any], threads: int = 1) -> float:
    """Of a call, on so many torch threads."""
    torch.set_num_threads(threads)
    started = time.perf_counter()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    elapsed = time.perf_counter() - started
    torch.set_num_threads(1)
    return elapsed


def product(kind: str, experiment: Experiment, theta: Parameters, batch: MetaBatch) -> CurvatureProduct:
    """v -> the Hessian of the mean KL through the adaptation, times v."""
    policy, settings, task_map = experiment.policy, experiment.config.meta_learner, experiment.task_map
    if kind == HAND:
        loss = inner_loss(policy, settings.inner_objective)
        rule = InnerRule(settings.inner_objective, loss, settings.step_sizes, settings.first_order)
        return mlp_curvature_product(policy, rule, theta, batch, task_map)

    def adapt_task(parameters: Parameters, support: Sequence[Batch]) -> Parameters:
        for step, data in enumerate(support):
            parameters = experiment.learner.inner_step(parameters, data, step)
        return parameters

    if kind == GENERIC:
        return generic_curvature_product(policy, adapt_task, theta, batch, task_map.chunk_size)
    leaves = {name: value.clone().requires_grad_() for name, value in theta.items()}

    def gradient(value: torch.Tensor, create_graph: bool) -> torch.Tensor:
        pieces = torch.autograd.grad(value, [*leaves.values()], retain_graph=True, create_graph=create_graph)
        return torch.cat([piece.flatten() for piece in pieces])

    divergences = []
    for task in range(batch.tasks):
        adapted = adapt_task(leaves, [select_task(data, task) for data in batch.support])
        divergences.append(mean_kl(policy)(adapted, select_task(batch.query, task)))
    slope = gradient(torch.stack(divergences).mean(), create_graph=True)
    return lambda vector: gradient(slope.dot(vector), create_graph=False)


def peak_memory(kind: str, config: ExperimentConfig) -> float:
    """GiB that preparing a product and one product add, at their peak, to a process that holds the batch."""
    torch.set_num_threads(1)
    experiment = build_experiment(config)
    theta, batch = meta_batch(experiment)
    ctypes.CDLL(None).malloc_trim(0)  # or memory freed but not yet returned would not be counted
    before = resident("VmRSS")
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again
    torch.set_num_threads(THREADS[kind])
    product(kind, experiment, theta, batch)(flatten(theta))
    return resident("VmHWM") - before


def resident(field: str) -> float:
    """GiB of this process: now (VmRSS) or at its peak (VmHWM)."""
    return int(Path("/proc/self/status").read_text().split(f"{field}:")[1].split()[0]) / 2**20


def iteration(experiment: Experiment, repeats: int) -> list[Row]:
    """Seconds of a training run's iterations, the first left out, and the process's peak memory."""
    found: list[dict[str, float]] = []
    evaluation: Any = {f"evaluation_{name}": 1 for name in ("tasks", "episodes", "steps")}  # at the end
    training = replace(experiment.config.training, iterations=repeats + 1, evaluate_every=0, **evaluation)
    with TemporaryDirectory() as folder, tqdm(total=repeats + 1, unit="it", leave=False) as bar:

        def record(metrics: dict[str, float]) -> None:
            found.append(metrics)
            bar.update()

        config = replace(experiment.config, training=training, run_dir=folder)
        first = prepare_run(config, False, experiment)
        run_training(replace(experiment, config=config), first, Reporter(lambda line: None, record))
    phases = "sampling", "advantages", "adaptation", "update", "iteration"
    rows = [line(name, "s", [turn[f"time/{name}_seconds"] for turn in found[1:]]) for name in phases]
    return [*rows, line("peak resident memory", "GiB", [resident("VmHWM")])]


def start(experiment: Experiment) -> tuple[RolloutSampler, Parameters, Tasks]:
    seed, sampling = experiment.config.seed, experiment.config.sampling
    state = experiment.learner.initial_state(torch.Generator().manual_seed(seed))
    theta = {name: value.to(experiment.device) for name, value in state.parameters.items()}
    rollouts = experiment.sampler(sampling.tasks, sampling.episodes)
    return rollouts, theta, experiment.held_out_tasks(sampling.tasks, seed)


def meta_batch(experiment: Experiment) -> tuple[Parameters, MetaBatch]:
    """The start parameters, and what training would collect with them."""
    (rollouts, theta, tasks), config = start(experiment), experiment.config
    parts = experiment.policy, experiment.learner, experiment.task_map, config.sampling.advantages
    return theta, collect_meta_batch(rollouts, *parts, theta, tasks, (config.seed,)).batch


def show(rows: list[Row]) -> None:
    """Lines below an unindented one: how many times as fast that is, by the medians and by the pairs."""
    print(f"{'':50}{'median':>16}{'ours is':>10}{'by pairs':>10}")
    for row in rows:
        name = f"{'  ' if 'ours' in row else ''}{row['name']}"
        value = f"{row['median']:{',.0f' if row['unit'] == 'steps/s' else '.3f'}} {row['unit']}"
        faster = [f"{row[key]:9.2f}x" for key in ("speedup_of_medians", "median_of_speedups") if key in row]
        found = [f"  {key} {row[key]:.2g}" for key in ("peak_gib", "relative_difference") if key in row]
        print(f"{name:50}{value:>16}{''.join(faster):20}{''.join(found)}".rstrip())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("verb", choices=VERBS)
    parser.add_argument("--config", type=Path, required=True, help="a YAML file")
    parser.add_argument("--repeats", type=PositiveInt, default=5, help="measurements of each thing (5)")
    parser.add_argument("--json", type=Path, help="a file for everything measured")
    arguments, overrides = parser.parse_known_args()
    torch.set_num_threads(1)  # as training does
    try:
        if arguments.json and not arguments.json.parent.is_dir():
            raise RunError(f"--json: expected a file in a folder that exists, got {arguments.json}")
        experiment = build_experiment(read_config(arguments.config, overrides))
        rows = VERBS[arguments.verb](experiment, arguments.repeats)
    except MetaRLError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    config, packages = experiment.config, ("torch", "mujoco", "gymnasium", "envpool")
    machine: Row = {"platform": f"{platform.system()} {platform.machine()}", "device": experiment.device.type}
    machine |= {"cores": available_cpus(), "torch_threads": TORCH_THREADS}
    machine |= {name: version(name) if find_spec(name) else "not installed" for name in packages}
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    sizes = [config.sampling.tasks, config.sampling.episodes, config.environment.horizon]
    print("{}: {} tasks x {} episodes x {} steps\n".format(config.environment.id, *sizes))
    show(rows)
    if arguments.json:
        sections = {key: part for key, part in config.as_dict().items() if key != "run_dir"}
        found = {"benchmark": arguments.verb, "machine": machine, "config": sections, "rows": rows}
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")
    return 0


VERBS = {"sampler": sampler, "update": update, "iteration": iteration}

if __name__ == "__main__":
    sys.exit(main())
