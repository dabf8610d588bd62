"""Compares algorithms: metarl compare configs/a.yaml configs/b.yaml ... --seeds 3 --budget STEPS.
Trains every config, with every combination of the values of --sweep KEY=A,B,..., with every seed for the same
environment steps, judges all by one evaluator on the same tasks, and writes a table as Markdown, CSV and
PNG. Stopped, it goes on where it was; finished runs are not repeated. A run that breaks down is named
under the table. Configs of several environments get a table each."""

from __future__ import annotations

import argparse
import json
import re
import signal
import sys
from dataclasses import fields
from datetime import date
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from metarl.commands.comparison_plan import entries_by_environment, parse
from metarl.commands.markdown import print_markdown
from metarl.comparison.budgets import budgets
from metarl.comparison.entries import Entry, check, planned_steps
from metarl.comparison.judgement import Protocol
from metarl.comparison.report import markdown, plot, tasks_of, title_of, write_csv
from metarl.comparison.runs import Result, run_entry
from metarl.comparison.summary import summarise
from metarl.compute.task_map import available_cpus
from metarl.errors import ConfigError, MetaRLError
from metarl.experiment.environments import BEYOND, HELD_OUT
from metarl.runs.checkpoint import Checkpoint
from metarl.training.observers import Iteration, Observer
from metarl.training.progress_bar import Progress, write_line
from metarl.training.sweeps import read_seeds

START, END = "<!-- comparison: written by scripts/compare.py -->", "<!-- end of comparison -->"
KINDS = (".md", ".csv", ".png", ".json", "_budgets.md")


def main() -> int:
    arguments = parse(__doc__)
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
            most = {name: max(map(planned_steps, entries)) for name, entries in groups.items()}
            reports = [report(arguments, name, most[name], *outcome) for name, outcome in outcomes.items()]
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
    text = "\n".join(table for table, _ in reports)
    print()
    print_markdown("\n".join(filter(None, (part for one in reports for part in one))))
    if arguments.into is not None:
        old = arguments.into.read_text()
        between = re.escape(START) + ".*?" + re.escape(END)
        arguments.into.write_text(
            re.sub(between, lambda _: f"{START}\n\n{text}\n{END}", old, flags=re.DOTALL)
        )
    stems = [stem_of(arguments, name) for name, (found, _) in outcomes.items() if found]
    written = [f"{stem}{kind}" for stem in stems for kind in KINDS]
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
                    line = f"{title}: return after {used_up_to(protocol)} episodes {curve}"
                if not quiet:
                    write_line(f"{name} {line}")
                runs.advance()
    return outcomes


def used_up_to(protocol: Protocol) -> str:
    """ "0, 20, 40", the episodes of a task that are used before each of the returns."""
    return ", ".join(str(step * protocol.episodes) for step in range(protocol.steps + 1))


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


def named(stem: Path, kind: str) -> Path:
    """A file of a table, whose name may have dots."""
    return stem.with_name(f"{stem.name}{kind}")


def stem_of(arguments: argparse.Namespace, name: str) -> str:
    """What an environment's table is called: as the environment, with the list of tasks if they are not held
    out, and where another protocol has taken that name, with what differs."""
    name = name if arguments.on == HELD_OUT else f"{name}_{arguments.on}"
    try:
        settings = json.loads((arguments.output / f"{name}.json").read_text())
        kept = {field.name: settings.get(field.name, str(field.default)) for field in fields(Protocol)}
    except (OSError, ValueError, AttributeError):
        return name
    own = {key: str(getattr(arguments, key)) for key in kept if key != "scale" or arguments.on == BEYOND}
    return "_".join([name, *(f"{key}={value}" for key, value in own.items() if value != kept[key])])


def report(
    arguments: argparse.Namespace, name: str, budget: int, results: list[Result], failures: list[str]
) -> tuple[str, str]:
    """Writes one environment's tables as Markdown, CSV and PNG; returns the Markdown, of `budgets` apart."""
    seeds = len(read_seeds(arguments.seeds))
    title = f"{name}: training until {budget:,} environment steps are taken, {seeds} seed{'s' * (seeds != 1)}"
    where = f"{date.today():%B %Y}, {available_cpus()} CPUs, torch {torch.__version__.partition('+')[0]}"
    stem = arguments.output / stem_of(arguments, name)
    broken = "".join(f"\n- {failure}" for failure in failures) + "\n" * bool(failures)
    if not results:
        for kind in KINDS:
            named(stem, kind).unlink(missing_ok=True)
        return f"**{title}** ({where})\n{broken}", ""
    rows, target = summarise(results, arguments.target)
    longest = tasks_of(max(rows, key=lambda row: row.tasks))
    each = arguments.episodes
    far = f" up to {arguments.scale:g} times as wide" if arguments.on == BEYOND else ""
    title += f", {longest}{far}, {each} episode{'s' * (each != 1)} at every inner step"
    text = f"**{title}** ({where})\n\n{markdown(rows, target, each, budget)}{broken}"
    titles = {row.label: title_of(row, rows, budget) for row in rows}
    bought = budgets(titles, results, arguments.steps * each)
    named(stem, ".md").write_text(text)
    named(stem, "_budgets.md").write_text(bought)
    write_csv(named(stem, ".csv"), rows)
    plot(named(stem, ".png"), rows, results, title, target, arguments.episodes)
    settings = {key: str(value) for key, value in vars(arguments).items()}
    named(stem, ".json").write_text(json.dumps(settings, indent=2) + "\n")
    return text, bought
