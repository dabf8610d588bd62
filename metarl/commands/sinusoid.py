"""Sinusoid regression, the supervised proof of the inner rule (Finn et al. 2017, section 5.1): metarl
sinusoid [--methods maml,reptile] [--iterations N]. Writes a table and a picture to --output."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch
from jsonargparse.typing import NonNegativeInt, PositiveInt
from tqdm import tqdm

from metarl.commands.markdown import print_markdown
from metarl.commands.parser import CommandParser
from metarl.compute.task_map import available_cpus
from metarl.errors import ConfigError, MetaRLError, TrainingError
from metarl.experiment.config import read_config, with_overrides
from metarl.experiment.experiments import SupervisedExperiment
from metarl.training.examples.build import build_supervised
from metarl.training.examples.run import first_checkpoint, iterate
from metarl.training.examples.sinusoid_report import Result, markdown, plot, write_csv
from metarl.training.progress_bar import add_quiet, track

METHODS = {
    "maml": "MAML",
    "fomaml": "FOMAML",
    "reptile": "Reptile",
    "maml_pp": "MAML++",
    "imaml": "iMAML",
    "pre_training": "pre-training",
}
"""Names of the configs in sinusoid, and titles."""


def main() -> int:
    parser = CommandParser(description=__doc__)
    parser.add_argument("--methods", default=",".join(METHODS), help=f"some of {','.join(METHODS)} (all)")
    parser.add_argument("--iterations", type=PositiveInt, help="of every method (what each needs)")
    parser.add_argument("--seed", type=NonNegativeInt, default=0, help="of weights and tasks (0)")
    parser.add_argument("--tasks", type=PositiveInt, default=2000, help="new tasks to adapt to (2000)")
    parser.add_argument("--output", type=Path, default=Path("runs/sinusoid"), help="a folder (runs/sinusoid)")
    add_quiet(parser)
    arguments = parser.parse_args()
    try:
        names = read_methods(arguments.methods)
        if arguments.tasks < 2:
            raise ConfigError("--tasks: expected 2 or more, for an interval, got 1")
        arguments.output.mkdir(parents=True, exist_ok=True)
        started = time.perf_counter()
        outcomes = run_all(names, arguments)
        results = [one for one in outcomes if isinstance(one, Result)]
        broken = [one for one in outcomes if isinstance(one, TrainingError)]
        if not results:
            raise broken[0]
        table = markdown(results)
        (arguments.output / "sinusoid.md").write_text(table + "\n")
        write_csv(results, arguments.output / "sinusoid.csv")
        plot(results, arguments.output / "sinusoid.png")
    except KeyboardInterrupt:
        return 130
    except (MetaRLError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"\n{arguments.tasks} new sinusoids, gradient steps on the same 5 points:\n")
    print_markdown(table)
    print(f"\n{time.perf_counter() - started:.0f} s in all. Written to {arguments.output}:")
    print("  sinusoid.md  sinusoid.csv  sinusoid.png")
    for fault in broken:
        print(f"error: {fault}", file=sys.stderr)
    return 1 if broken else 0


def read_methods(text: str) -> list[str]:
    names = list(dict.fromkeys(text.split(",")))
    for name in names:
        if name not in METHODS:
            raise ConfigError(f"--methods: expected some of {', '.join(METHODS)}, got {name!r}")
    return names


def run_all(names: list[str], arguments: argparse.Namespace) -> list[Result | TrainingError]:
    """Trains and evaluates every method in a process of its own, as many at once as there are CPUs.

    A method that fails does not stop the others.
    """
    context = get_context("spawn")
    options = {name: getattr(arguments, name) for name in ("iterations", "seed", "tasks", "quiet")}
    work = partial(run, **options)
    with context.Pool(min(available_cpus(), len(names)), prepare, (context.RLock(),)) as pool:
        return pool.starmap(work, enumerate(names), chunksize=1)


def prepare(lock: object) -> None:
    tqdm.set_lock(lock)
    torch.set_num_threads(1)  # there is one process per CPU
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends them


def run(
    place: int, name: str, *, iterations: int | None, seed: int, tasks: int, quiet: bool = False
) -> Result | TrainingError:
    config = method_config(name, iterations, seed, tasks)
    number, title = int(config.training.iterations), METHODS[name]
    built = build_supervised(config)
    current, started = first_checkpoint(built), time.perf_counter()
    try:
        for _ in track(range(number), number, "iteration", title=title, row=place, leave=True, quiet=quiet):
            current, _ = iterate(built, current)
    except TrainingError as error:
        return error
    seconds, parameters = time.perf_counter() - started, current.state.parameters
    fits, scores = built.fits(parameters), built.evaluate(parameters, "test")
    assert fits is not None
    return Result(title, number, seconds, scores, fits)


def method_config(name: str, iterations: int | None, seed: int, tasks: int) -> SupervisedExperiment:
    """The shipped config of a method; what follows from its length does so with another, too."""
    own = read_config(f"sinusoid/{name}", {"seed": seed, "training.evaluation_tasks": tasks})
    assert isinstance(own, SupervisedExperiment)
    if iterations is None:
        return own
    words = {"training.iterations": iterations, "learner.adam.schedule_updates": iterations}
    if updates := getattr(own.learner, "multi_step_updates", 0):
        words["learner.multi_step_updates"] = iterations * int(updates) // int(own.training.iterations)
    shorter = with_overrides(own, words)
    assert isinstance(shorter, SupervisedExperiment)
    return shorter
