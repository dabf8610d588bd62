"""Times a config's sampling, update or whole iteration, its records and figures, all families' sampling,
long inner loops, or iterations of ever more tasks:
metarl benchmark sampler|families|update|memory|iteration|growth|recording|examples --config X.yaml
[--key value ..].
The update is any meta-learner's; of MAML on a Gaussian MLP, its curvature product in several ways, too;
examples times MAML's update on labelled examples, e.g. of glyphs/maml, against loops over tasks."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from jsonargparse.typing import PositiveInt
from metarl_envs.registration import FAMILIES

from metarl.benchmarks.bare_mujoco import bare_references
from metarl.benchmarks.growth import growth
from metarl.benchmarks.measures import TORCH_THREADS, Row, alternate, line, resident, rollout_rate
from metarl.benchmarks.memory import memory
from metarl.benchmarks.recording import recording
from metarl.benchmarks.references import envpool_references, sb3_references, vector_references
from metarl.benchmarks.update import update
from metarl.commands.parser import CommandParser
from metarl.compute.devices import resolve_device
from metarl.compute.task_map import available_cpus
from metarl.errors import ConfigError, MetaRLError, RunError
from metarl.experiment.build import Experiment, build_experiment
from metarl.experiment.config import read_config
from metarl.experiment.experiments import AnyExperiment, SupervisedExperiment
from metarl.experiment.shipped import find_config
from metarl.training.console import ProgressBar
from metarl.training.observers import Iteration, Observer
from metarl.training.progress_bar import track, write_line
from metarl.training.run_start import prepare_run
from metarl.training.run_training import run_training


def sampler(experiment: Experiment, repeats: int) -> list[Row]:
    """Environment steps/s of a rollout, policy included; of other simulators, under random actions."""
    config = experiment.config
    with ExitStack() as stack:
        others = vector_references(config, stack)  # forks, so before anything that starts threads
        others |= sb3_references(config, stack)
        others |= envpool_references(config)
        measures = {
            "rollout, policy included": rollout_rate(experiment),
            **bare_references(config, stack),
            **others,
        }
        return alternate(measures, "steps/s", repeats)


def families(experiment: Experiment, repeats: int) -> list[Row]:
    """Environment steps/s of every MuJoCo family's rollout at the config's size, the policy included."""
    rows: list[Row] = []
    for name in track(FAMILIES, len(FAMILIES), "family", leave=True):
        environment = replace(experiment.config.environment, id=f"metarl/{name}-v0")
        config = replace(experiment.config, environment=environment)
        with ExitStack() as stack:
            limits = bare_references(config, stack)
            if limits:
                measures = {
                    name: rollout_rate(build_experiment(config)),
                    **limits,
                    **envpool_references(config),
                }
                found = alternate(measures, "steps/s", repeats)
                write_line("\n".join(as_lines(found)), sys.stderr)  # an interrupt keeps these
                rows += found
    return rows


class KeptMetrics(Observer):
    """Keeps every iteration's metrics."""

    def __init__(self) -> None:
        self.metrics: list[Mapping[str, float]] = []

    def on_iteration(self, iteration: Iteration) -> None:
        self.metrics.append(iteration.metrics)


def iteration(experiment: Experiment, repeats: int) -> list[Row]:
    """Seconds of a training run's iterations, the first left out, and the process's peak memory."""
    evaluation: Any = {f"evaluation_{name}": 1 for name in ("tasks", "episodes", "steps")}  # at the end
    shown: dict[str, Any] = {**evaluation, "evaluate_every": 0, "figures": False}
    training = replace(experiment.config.training, iterations=repeats + 1, **shown)
    kept = KeptMetrics()
    with TemporaryDirectory() as folder:
        config = replace(experiment.config, training=training, run_dir=folder)
        first = prepare_run(config, False, experiment)
        run_training(replace(experiment, config=config), first, [ProgressBar(training, lines=True), kept])
    phases = "sampling", "advantages", "adaptation", "update", "iteration"
    rows = [line(name, "s", [turn[f"time/{name}_seconds"] for turn in kept.metrics[1:]]) for name in phases]
    return [*rows, line("peak resident memory", "GiB", [resident("VmHWM")])]


def show(rows: list[Row]) -> None:
    print(f"{'':50}{'median':>16}{'ours is':>10}{'by pairs':>10}")
    print("\n".join(as_lines(rows)))


def as_lines(rows: list[Row]) -> list[str]:
    """The rows as lines; below an unindented one, how many times as fast it is, by medians and by pairs."""
    lines = []
    for row in rows:
        name = f"{'  ' if 'ours' in row else ''}{row['name']}"
        value = f"{row['median']:{',.0f' if row['unit'] == 'steps/s' else '.3f'}} {row['unit']}"
        faster = [f"{row[key]:9.2f}x" for key in ("speedup_of_medians", "median_of_speedups") if key in row]
        found = [f"  {key} {row[key]:.2g}" for key in ("peak_gib", "relative_difference") if key in row]
        found += [f"  peak {row['peak_mib']:,.0f} MiB"] if "peak_mib" in row else []
        lines.append(f"{name:50}{value:>16}{''.join(faster):20}{''.join(found)}".rstrip())
    return lines


def main() -> int:
    parser = CommandParser(description=__doc__)
    parser.add_argument("verb", choices=[*VERBS, _EXAMPLES])
    parser.add_argument("--config", required=True, help="a YAML file, or the name of a shipped config")
    parser.add_argument("--repeats", type=PositiveInt, default=5, help="measurements of each thing (5)")
    parser.add_argument("--json", type=Path, help="a file for everything measured")
    arguments, overrides = parser.parse_known_args()
    torch.set_num_threads(1)  # as training does
    try:
        if arguments.json and not arguments.json.parent.is_dir():
            raise RunError(f"--json: expected a file in a folder that exists, got {arguments.json}")
        config = read_config(find_config(arguments.config), overrides)
        rows, device = measure(arguments.verb, config, arguments.repeats)
    except MetaRLError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    packages = ("torch", "mujoco", "gymnasium", "envpool")
    machine: Row = {"platform": f"{platform.system()} {platform.machine()}", "device": device}
    machine |= {"cores": available_cpus(), "torch_threads": TORCH_THREADS}
    machine |= {name: version(name) if find_spec(name) else "not installed" for name in packages}
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    print(f"{sizes_of(config)}\n")
    show(rows)
    if arguments.json:
        sections = {key: part for key, part in config.as_dict().items() if key != "run_dir"}
        found = {"benchmark": arguments.verb, "machine": machine, "config": sections, "rows": rows}
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")
    return 0


def measure(verb: str, config: AnyExperiment, repeats: int) -> tuple[list[Row], str]:
    """The rows of a verb, and the kind of device that they are of.

    Raises:
        MetaRLError: the config is of another kind than the verb's, or cannot be built.
    """
    if verb != _EXAMPLES:
        experiment = build_experiment(config)
        return VERBS[verb](experiment, repeats), experiment.device.type
    if not isinstance(config, SupervisedExperiment):
        raise ConfigError("learner: expected this section to measure, found none; try --config glyphs/maml")
    found: list[Row] = import_module("metarl.benchmarks.examples").examples(config, repeats)
    return found, resolve_device(config.training.device).type


def sizes_of(config: AnyExperiment) -> str:
    """What is measured, in a line."""
    if isinstance(config, SupervisedExperiment):
        return f"{config.names['data']}, {config.names['network']}: {config.training.tasks} tasks"
    sampling, environment = config.sampling, config.environment
    tasks = f"{sampling.tasks} tasks x {sampling.episodes} episodes x {environment.horizon} steps"
    return f"{environment.id}: {tasks}"


_EXAMPLES = "examples"
VERBS = {
    "sampler": sampler,
    "families": families,
    "update": update,
    "memory": memory,
    "iteration": iteration,
    "growth": lambda experiment, repeats: growth(experiment.config, repeats),
    "recording": recording,
}
