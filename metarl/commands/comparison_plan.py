"""What a comparison is asked for: its command line, and the runs that follow from it."""

from __future__ import annotations

import argparse
import re
from itertools import product
from pathlib import Path

from jsonargparse.typing import NonNegativeInt, PositiveFloat, PositiveInt

from metarl.commands.parser import CommandParser
from metarl.comparison.entries import Entry, difference, label_of, make_entry
from metarl.comparison.judgement import Protocol
from metarl.errors import ConfigError
from metarl.experiment.environments import BEYOND, HELD_OUT
from metarl.experiment.shipped import find_config
from metarl.training.progress_bar import add_quiet
from metarl.training.sweeps import Variant, add_sweeps, read_seeds, read_sweeps


def parse(description: str | None) -> argparse.Namespace:
    parser = CommandParser(description=description)
    parser.add_argument(
        "configs", nargs="+", help="YAML files or shipped configs; a row is called as its file and variant"
    )
    add_sweeps(parser, seeds=3)
    parser.add_argument(
        "--budget",
        nargs="+",
        required=True,
        metavar="STEPS",
        help="environment steps of a run: a number, or ENVIRONMENT=NUMBER each, e.g. AntDir=4e6; ROW=NUMBER "
        "for a row that needs fewer, e.g. pearl=2e5",
    )
    parser.add_argument("--output", type=Path, default=Path("runs/comparison"), help="(runs/comparison)")
    parser.add_argument("--tasks", type=PositiveInt, default=40, help="evaluation tasks (40)")
    parser.add_argument("--episodes", type=PositiveInt, default=20, help="episodes per task and step (20)")
    parser.add_argument("--steps", type=PositiveInt, default=3, help="inner steps (3)")
    parser.add_argument("--seed", type=NonNegativeInt, default=0, help="of the evaluation tasks (0)")
    parser.add_argument("--deterministic", action="store_true", help="measure with mean actions")
    parser.add_argument(
        "--later_step_scale",
        type=PositiveFloat,
        help="scale of inner steps after the first, e.g. 0.5 as in Finn et al. 2017 (as in training; not "
        "with MAML++, which learns them)",
    )
    parser.add_argument(
        "--on", choices=[HELD_OUT, BEYOND], default=HELD_OUT, help=f"the tasks to judge on ({HELD_OUT})"
    )
    parser.add_argument(
        "--scale",
        type=PositiveFloat,
        default=1.5,
        help=f"{BEYOND} tasks lie beyond the usual range, up to so many times as wide (1.5)",
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
    given = arguments.budget
    paths, variants = [*map(find_config, arguments.configs)], read_sweeps(arguments.sweep)
    seeds = read_seeds(arguments.seeds)
    rows = [
        (path, variant, environment_name(path, protocol, variant))
        for path, variant in product(paths, variants)
    ]
    for seed, (path, variant, name) in product(seeds, rows):
        folder = arguments.output / name
        own = {key: value for key, value in variant.items() if any(one[key] != value for one in variants)}
        label = label_of(path, own)
        budget = budget_of(name, given, label)
        entry = make_entry(path, seed, budget, folder, protocol, arguments.evaluations, variant, label)
        group = groups.setdefault(name, [])
        if any((other.label, other.seed) == (entry.label, seed) for other in group):
            raise ConfigError(f"{path}: expected configs of different names, got {entry.label} twice")
        for other in group:
            if found := difference(other.config, entry.config):
                raise ConfigError(f"{path}: {found}, to be compared with {other.label}")
        group.append(entry)
    labels = sorted({entry.label for entries in groups.values() for entry in entries})
    named = [word.rpartition("=")[0] for word in given if "=" in word]
    if unknown := [name for name in named if name not in (*groups, *labels)]:
        known = f"environments among {sorted(groups)}, or rows among {labels}"
        raise ConfigError(f"--budget: expected {known}, got {unknown[0]}")
    return groups


def environment_name(path: Path, protocol: Protocol, variant: Variant) -> str:
    """ "metarl/AntDir-v0" -> "AntDir"."""
    env_id = make_entry(path, 0, 1, Path(), protocol, 1, variant).config.environment.id
    return re.sub(r"-v\d+$", "", re.split(r"[/:]", env_id)[-1])


def budget_of(name: str, given: list[str], label: str = "") -> int:
    """The environment steps of an environment's runs.

    Args:
        label: of the row, which may have a budget of its own.

    Raises:
        ConfigError: none is given, or no whole number.
    """
    by_name = {word.rpartition("=")[0]: word.rpartition("=")[2] for word in given}
    text = next((by_name[key] for key in (label, name, "") if key in by_name), None)
    text = text if text is not None else f"nothing but {' '.join(given)}"
    try:
        budget = float(text)
        whole = budget > 0 and budget == int(budget)
    except (ValueError, OverflowError):
        whole = False
    if not whole:
        raise ConfigError(f"--budget: expected a whole number of environment steps for {name}, got {text}")
    return int(budget)
