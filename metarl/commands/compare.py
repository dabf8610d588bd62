"""Compares algorithms: metarl compare configs/a.yaml configs/b.yaml ... --seeds 3 --budget STEPS.
Trains every config, with every combination of the values of --sweep KEY=A,B,..., with every seed for the same
environment steps, judges all by one evaluator on the same held-out tasks, and writes a table as Markdown, CSV
and PNG. Stopped, it goes on where it was; finished runs are not repeated. A run that breaks down is named
under the table. Configs of several environments get a table each."""

from __future__ import annotations

import argparse
import json
import re
import signal
import sys
from dataclasses import fields
from datetime import date
from itertools import product
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from jsonargparse.typing import NonNegativeInt, PositiveFloat, PositiveInt

from metarl.comparison.entries import Entry, check, difference, make_entry, planned_steps
from metarl.comparison.judgement import Protocol
from metarl.comparison.report import markdown, plot, tasks_of, write_csv
from metarl.comparison.runs import Result, run_entry
from metarl.comparison.summary import summarise
from metarl.compute.task_map import available_cpus
from metarl.errors import ConfigError, MetaRLError
from metarl.experiment.shipped import find_config
from metarl.runs.checkpoint import Checkpoint
from metarl.training.observers import Iteration, Observer
from metarl.training.progress_bar import Progress, add_quiet, write_line
from metarl.training.sweeps import Variant, add_sweeps, read_seeds, read_sweeps

START, END = "<!-- comparison: written by scripts/compare.py -->", "<!-- end of comparison -->"
KINDS = (".md", ".csv", ".png", ".json")


def main() -> int:
    arguments = parse()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    torch.set_num_threads(1)  # threads take whole tasks, as in training
    protocol = Protocol(**{field.name: getattr(arguments, field.name) for field in fields(Protocol)})
    try:
        if arguments.into is not None:
            check_markers(arguments.into)
        groups = entries_by_environment(arguments, protocol)
        arguments.output.mkdir(parents=True, exist_ok=True)
        with FileLock(arguments.output / ".lock", timeout=0):
            outcomes = run(groups, protocol, arguments.quiet)
            tables = [report(arguments, name, *outcome) for name, outcome in outcomes.items()]
    except Timeout:
        message = f"error: --output: expected a folder of its own, got {arguments.output}, where another "
        print(f"{message}compare.py is at work; wait for it, or choose another", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped; what is finished is kept. The same command goes on.")
        return 130
    except (MetaRLError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    text = "\n".join(tables)
    print(f"\n{text}")
    if arguments.into is not None:
        old = arguments.into.read_text()
        between = re.escape(START) + ".*?" + re.escape(END)
        arguments.into.write_text(
            re.sub(between, lambda _: f"{START}\n\n{text}\n{END}", old, flags=re.DOTALL)
        )
    written = [f"{name}{kind}" for name, (found, _) in outcomes.items() if found for kind in KINDS]
    print(f"Written to {arguments.output}: {', '.join(written) or 'nothing'}")
    broken = sum(len(failures) for _, failures in outcomes.values())
    if broken:
        print(f"error: {broken} runs broke down; they are named under the tables", file=sys.stderr)
    return 1 if broken else 0


def check_markers(path: Path) -> None:
    """The lines between which the tables go."""
    text = path.read_text() if path.is_file() else ""
    if START not in text or END not in text.partition(START)[2]:
        raise ConfigError(f"--into: expected a file with the lines {START} and {END}, got {path}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "configs", nargs="+", help="YAML files or shipped configs; a row is called as its file and variant"
    )
    add_sweeps(parser, seeds=3)
    parser.add_argument(
        "--budget",
        nargs="+",
        required=True,
        metavar="STEPS",
        help="environment steps of a run: a number, or ENVIRONMENT=NUMBER each, e.g. AntDir=4e6",
    )
    parser.add_argument("--output", type=Path, default=Path("runs/comparison"), help="(runs/comparison)")
    parser.add_argument("--tasks", type=PositiveInt, default=40, help="held-out tasks (40)")
    parser.add_argument("--episodes", type=PositiveInt, default=20, help="episodes a task and step (20)")
    parser.add_argument("--steps", type=PositiveInt, default=3, help="inner steps (3)")
    parser.add_argument("--seed", type=NonNegativeInt, default=0, help="of the held-out tasks (0)")
    parser.add_argument("--deterministic", action="store_true", help="measure with mean actions")
    parser.add_argument(
        "--later_step_scale",
        type=PositiveFloat,
        help="scale of inner steps after the first, e.g. 0.5 as in Finn et al. 2017 (as in training; not "
        "with MAML++, which learns them)",
    )
    parser.add_argument("--target", type=float, help="the return whose cost is told (one near the best)")
    parser.add_argument(
        "--evaluations",
        type=PositiveInt,
        default=10,
        help="of the policies that training keeps for the learning curve, evenly over the budget (10)",
    )
    parser.add_argument(
        "--into", type=Path, metavar="FILE", help="put the tables into this Markdown file too"
    )
    add_quiet(parser)
    return parser.parse_args()


def entries_by_environment(arguments: argparse.Namespace, protocol: Protocol) -> dict[str, list[Entry]]:
    """All runs, by the name of their environment, in the order of the configs.

    Raises:
        ConfigError: a config or budget that is wrong, or configs that cannot be compared.
    """
    groups: dict[str, list[Entry]] = {}
    paths, variants = map(find_config, arguments.configs), read_sweeps(arguments.sweep)
    for seed, path, variant in product(read_seeds(arguments.seeds), paths, variants):
        name = environment_name(path, protocol, variant)
        folder = arguments.output / name
        budget = budget_of(name, arguments.budget)
        entry = make_entry(path, seed, budget, folder, protocol, arguments.evaluations, variant)
        group = groups.setdefault(name, [])
        if any((other.label, other.seed) == (entry.label, seed) for other in group):
            raise ConfigError(f"{path}: expected configs of different names, got {entry.label} twice")
        for other in group:
            if found := difference(other.config, entry.config):
                raise ConfigError(f"{path}: {found}, to be compared with {other.label}")
        group.append(entry)
    named = [word.partition("=")[0] for word in arguments.budget if "=" in word]
    if unknown := [name for name in named if name not in groups]:
        raise ConfigError(f"--budget: expected environments among {sorted(groups)}, got {unknown[0]}")
    return groups


def environment_name(path: Path, protocol: Protocol, variant: Variant) -> str:
    """ "metarl/AntDir-v0" -> "AntDir"."""
    env_id = make_entry(path, 0, 1, Path(), protocol, 1, variant).config.environment.id
    return re.sub(r"-v\d+$", "", re.split(r"[/:]", env_id)[-1])


def budget_of(name: str, given: list[str]) -> int:
    """The environment steps of an environment's runs.

    Raises:
        ConfigError: none is given, or no whole number.
    """
    by_name = {word.rpartition("=")[0]: word.rpartition("=")[2] for word in given}
    text = by_name.get(name, by_name.get("", "nothing"))
    try:
        budget = float(text)
        whole = budget > 0 and budget == int(budget)
    except (ValueError, OverflowError):
        whole = False
    if not whole:
        raise ConfigError(f"--budget: expected a whole number of environment steps for {name}, got {text}")
    return int(budget)


def run(
    groups: dict[str, list[Entry]], protocol: Protocol, quiet: bool
) -> dict[str, tuple[list[Result], list[str]]]:
    """Every run, trained and judged, and what broke down, by environment.

    Raises:
        MetaRLError: before anything is trained, a config that cannot be built, or a folder that holds
            another run.
    """
    for entry in (entry for entries in groups.values() for entry in entries):
        check(entry, protocol)
    outcomes: dict[str, tuple[list[Result], list[str]]] = {name: ([], []) for name in groups}
    number = sum(map(len, groups.values()))
    with Progress(number, "run", leave=True, lines=False, quiet=quiet) as runs:
        for name, entries in groups.items():
            results, failures = outcomes[name]
            for entry in entries:
                title = f"{entry.label}, seed {entry.seed}"
                try:
                    result = run_shown(entry, protocol, f"{name} {title}", quiet)
                except MetaRLError as error:
                    failures.append(f"{title} broke down: {error}")
                    line = failures[-1]
                else:
                    results.append(result)
                    curve = ", ".join(f"{value:.1f}" for value in result.returns.mean(1))
                    line = f"{title}: return by inner step {curve}"
                if not quiet:
                    write_line(f"{name} {line}")
                runs.advance()
    return outcomes


class StepsShown(Observer):
    """Shows a training's environment steps on a bar."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar

    def on_start(self, start: Checkpoint) -> None:
        self._bar.advance(start.environment_steps)

    def on_iteration(self, iteration: Iteration) -> None:
        done = iteration.environment_steps - iteration.before.environment_steps
        self._bar.advance(done, f"after={iteration.metrics['rollout/return_after']:.1f}")


def run_shown(entry: Entry, protocol: Protocol, title: str, quiet: bool) -> Result:
    """One run, with a progress bar of its own."""
    with Progress(planned_steps(entry), "step", title=title, row=1, quiet=quiet) as bar:

        def judging(done: int, count: int) -> None:
            bar.describe(f"{title}: evaluation {done + 1} of {count}")

        return run_entry(entry, protocol, [StepsShown(bar)], bar.advance, judging)


def report(arguments: argparse.Namespace, name: str, results: list[Result], failures: list[str]) -> str:
    """Writes one environment's table as Markdown, CSV and PNG; returns the Markdown."""
    budget, seeds = budget_of(name, arguments.budget), len(read_seeds(arguments.seeds))
    title = f"{name}: training until {budget:,} environment steps are taken, {seeds} seed{'s' * (seeds != 1)}"
    where = f"{date.today():%B %Y}, {available_cpus()} CPUs, torch {torch.__version__.partition('+')[0]}"
    stem = arguments.output / name
    broken = "".join(f"\n- {failure}" for failure in failures) + "\n" * bool(failures)
    if not results:
        for kind in KINDS:
            stem.with_suffix(kind).unlink(missing_ok=True)
        return f"**{title}** ({where})\n{broken}"
    rows, target = summarise(results, arguments.target)
    longest = tasks_of(max(rows, key=lambda row: row.tasks))
    title += f", {longest}, {arguments.episodes} episodes at every inner step"
    text = f"**{title}** ({where})\n\n{markdown(rows, target)}{broken}"
    stem.with_suffix(".md").write_text(text)
    write_csv(stem.with_suffix(".csv"), rows)
    plot(stem.with_suffix(".png"), rows, results, title, target)
    settings = {key: str(value) for key, value in vars(arguments).items()}
    stem.with_suffix(".json").write_text(json.dumps(settings, indent=2) + "\n")
    return text
