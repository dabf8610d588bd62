"""Compares algorithms: python scripts/compare.py configs/a.yaml configs/b.yaml ... --seeds 3 --budget STEPS.
Trains every config with every seed for the same environment steps, judges all by one evaluator on the same
held-out tasks, and writes a table as Markdown, CSV and PNG. Stopped, it goes on where it was; finished runs
are not repeated. Configs of several environments get a table each."""

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
from jsonargparse.typing import NonNegativeInt, PositiveFloat, PositiveInt
from tqdm import tqdm

from metarl.comparison.judgement import Protocol
from metarl.comparison.report import markdown, plot, write_csv
from metarl.comparison.runs import Entry, Result, check, make_entry, planned_steps, run_entry, same_problem
from metarl.comparison.summary import summarise
from metarl.errors import ConfigError, MetaRLError
from metarl.math.task_map import available_cpus
from metarl.run_training import Reporter

START, END = "<!-- comparison: written by scripts/compare.py -->", "<!-- end of comparison -->"


def main() -> int:
    arguments = parse()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    torch.set_num_threads(1)  # threads take whole tasks, as in training
    protocol = Protocol(**{field.name: getattr(arguments, field.name) for field in fields(Protocol)})
    try:
        if arguments.into is not None:
            check_markers(arguments.into)
        groups = entries_by_environment(arguments, protocol)
        results = run(groups, protocol)
        tables = [report(arguments, name, found) for name, found in results.items()]
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
    print(f"Written to {arguments.output}: a .md, .csv and .png an environment.")
    return 0


def check_markers(path: Path) -> None:
    """The lines between which the tables go."""
    text = path.read_text() if path.is_file() else ""
    if START not in text or END not in text.partition(START)[2]:
        raise ConfigError(f"--into: expected a file with the lines {START} and {END}, got {path}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "configs", nargs="+", type=Path, help="YAML files; an algorithm is called as its file"
    )
    parser.add_argument("--seeds", type=PositiveInt, default=3, help="runs of a config: seeds 1, 2, ... (3)")
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
        help="scale of inner steps after the first, e.g. 0.5 as in Finn et al. 2017 (as in training; learned "
        "step sizes keep theirs)",
    )
    parser.add_argument("--target", type=float, help="the return whose cost is told (one near the best)")
    parser.add_argument(
        "--evaluate_every", type=NonNegativeInt, default=10, help="iterations an evaluation in training (10)"
    )
    parser.add_argument(
        "--into", type=Path, metavar="FILE", help="put the tables into this Markdown file too"
    )
    return parser.parse_args()


def entries_by_environment(arguments: argparse.Namespace, protocol: Protocol) -> dict[str, list[Entry]]:
    """All runs, by the name of their environment, in the order of the configs.

    Raises:
        ConfigError: a config or budget that is wrong, or configs that cannot be compared.
    """
    groups: dict[str, list[Entry]] = {}
    for seed in range(1, arguments.seeds + 1):
        for path in arguments.configs:
            name = environment_name(path, protocol)
            folder = arguments.output / name
            budget = budget_of(name, arguments.budget)
            entry = make_entry(path, seed, budget, folder, protocol, arguments.evaluate_every)
            group = groups.setdefault(name, [])
            if any((other.label, other.seed) == (entry.label, seed) for other in group):
                raise ConfigError(f"{path}: expected configs of different names, got {path.stem} twice")
            if group and not same_problem(group[0].config, entry.config):
                raise ConfigError(
                    f"{path}: expected environment options and horizon as in {group[0].label}, "
                    f"{group[0].config.environment}, got {entry.config.environment}"
                )
            group.append(entry)
    return groups


def environment_name(path: Path, protocol: Protocol) -> str:
    """ "metarl/AntDir-v0" -> "AntDir"."""
    env_id = make_entry(path, 0, 1, Path(), protocol, 0).config.environment.id
    return re.sub(r"-v\d+$", "", re.split(r"[/:]", env_id)[-1])


def budget_of(name: str, given: list[str]) -> int:
    """The environment steps of an environment's runs.

    Raises:
        ConfigError: none is given, or no whole number.
    """
    by_name = dict(word.split("=", 1) if "=" in word else ("", word) for word in given)
    text = by_name.get(name, by_name.get("", "nothing"))
    try:
        budget = float(text)
        whole = budget > 0 and budget == int(budget)
    except (ValueError, OverflowError):
        whole = False
    if not whole:
        raise ConfigError(f"--budget: expected a whole number of environment steps for {name}, got {text}")
    return int(budget)


def run(groups: dict[str, list[Entry]], protocol: Protocol) -> dict[str, list[Result]]:
    """Every run, trained and judged, by environment.

    Raises:
        MetaRLError: a config that cannot be built, before anything is trained; or a run that breaks down.
    """
    for entry in (entry for entries in groups.values() for entry in entries if entry.seed == 1):
        check(entry)
    results: dict[str, list[Result]] = {name: [] for name in groups}
    count = sum(map(len, groups.values()))
    with tqdm(total=count, unit="run", dynamic_ncols=True) as runs:
        for name, entries in groups.items():
            for entry in entries:
                with tqdm(
                    total=planned_steps(entry), unit="step", unit_scale=True, leave=False, position=1
                ) as bar:
                    bar.set_description(f"{name} {entry.label}, seed {entry.seed}")

                    def show(metrics: dict[str, float], bar: tqdm[None] = bar) -> None:
                        bar.set_postfix(after=f"{metrics['rollout/return_after']:.1f}", refresh=False)
                        bar.update(metrics["rollout/environment_steps"] - bar.n)

                    reporter = Reporter(lambda line: None, show)
                    result = run_entry(entry, protocol, reporter, bar.update)
                results[name].append(result)
                curve = ", ".join(f"{value:.1f}" for value in result.returns.mean(1))
                runs.write(f"{name} {entry.label}, seed {entry.seed}: return by inner step {curve}")
                runs.update()
    return results


def report(arguments: argparse.Namespace, name: str, results: list[Result]) -> str:
    """Writes one environment's table as Markdown, CSV and PNG; returns the Markdown."""
    rows, target = summarise(results, arguments.target)
    budget = budget_of(name, arguments.budget)
    title = (
        f"{name}: {budget:,} environment steps of training, {arguments.seeds} seeds, "
        f"{arguments.tasks} held-out tasks, {arguments.episodes} episodes a task and inner step"
    )
    where = f"{date.today():%B %Y}, {available_cpus()} CPUs, torch {torch.__version__.partition('+')[0]}"
    text = f"**{title}** ({where})\n\n{markdown(rows, target)}"
    stem = arguments.output / name
    stem.with_suffix(".md").write_text(text)
    write_csv(stem.with_suffix(".csv"), rows)
    plot(stem.with_suffix(".png"), rows, results, title, target)
    settings = {key: str(value) for key, value in vars(arguments).items()}
    stem.with_suffix(".json").write_text(json.dumps(settings, indent=2) + "\n")
    return text


if __name__ == "__main__":
    sys.exit(main())
