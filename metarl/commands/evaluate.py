"""Evaluates a run: metarl evaluate RUN_DIR --tasks 40 --steps 3, or several that differ in their seeds:
metarl evaluate RUN RUN2 RUN3. Returns are measured on episodes that adaptation did not use. Writes tables
(CSV, JSON, Markdown) and pictures (PNG, SVG), TensorBoard's figures among them, into a folder of their own in
RUN_DIR/evaluation, of zoo/NAME in runs/zoo/NAME/evaluation, after every list of tasks; one that fails costs
itself alone, and the exit code is 2."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jsonargparse.typing import PositiveFloat, PositiveInt

from metarl.adaptation.figures.curves import adaptation_figure
from metarl.adaptation.figures.measurements import draw_beside, draw_episodes_used
from metarl.adaptation.measurement import Measured
from metarl.commands.arguments import add_adaptation_arguments, add_run_arguments
from metarl.commands.baselines import Baseline, load_baselines
from metarl.commands.measuring import check_seeds, measure, rollouts_of_a_list, titles_of
from metarl.commands.parser import CommandParser
from metarl.commands.protocols import PROTOCOLS
from metarl.errors import MetaRLError
from metarl.experiment.environments import BEYOND, HELD_OUT
from metarl.experiment.sections import PolicyConfig
from metarl.policies.policy import episodes_a_point
from metarl.policies.registry import find_policy
from metarl.runs.evaluation_report import (
    changes_text,
    gain_text,
    list_tables,
    worse_table,
    write_evaluation,
)
from metarl.runs.files import BESIDE, EPISODES_USED, PLOT, figure_file
from metarl.runs.places import results_folder
from metarl.runs.results import new_evaluation
from metarl.training.progress_bar import Progress, write_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OPTIONS = (
    "protocol",
    "episodes",
    "steps",
    "seed",
    "deterministic",
    "later_step_scale",
    "scale",
    "episodes_used",
)
"""Of a measurement, as adaptation.json keeps them."""


def main() -> int:
    arguments = read_arguments()
    torch.set_num_threads(1)  # threads take whole tasks, as in training
    try:
        config = check_seeds(arguments)
        if arguments.episodes is None and isinstance(config.policy, PolicyConfig):
            arguments.episodes = episodes_a_point(find_policy(config.policy.name))
        titles = titles_of(arguments, config)
        baselines = load_baselines(arguments, config)
        measured, folder, faults = evaluate(arguments, titles, baselines, config.environment.id)
    except (MetaRLError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    own = own_name(arguments)
    for one in measured.values():
        show(own, one)
    if folder is not None:
        names = sorted(path.name for path in folder.iterdir())
        print(f"\nWritten to {folder}:\n  {'  '.join(names)}")
    return 2 if faults else 0


def read_arguments() -> argparse.Namespace:
    """Those of the command line; what they leave out is the protocol's, if they name one."""
    parser = CommandParser(description=__doc__)
    add_run_arguments(parser, nargs="+")
    parser.add_argument("--protocol", choices=[*PROTOCOLS], help="a paper's tasks, episodes and steps")
    parser.add_argument("--tasks", type=PositiveInt, default=40, help="tasks of a drawn list (40)")
    parser.add_argument(
        "--on",
        nargs="+",
        default=[HELD_OUT],
        metavar="LIST",
        help="task lists: held-out, training (the first ones drawn in it), out-of-distribution, or a JSON or "
        "YAML file of tasks (held-out; where a family has a few tasks only, all of them, called existing; of "
        "an environment that holds none out, tasks drawn as in training, called drawn)",
    )
    add_adaptation_arguments(parser, steps=3, episodes="episodes of every task and step")
    parser.add_argument(
        "--episodes_used",
        type=PositiveInt,
        nargs="+",
        default=[],
        metavar="N",
        help="also adapt to N episodes per step, measured on --episodes further ones: 1 2 5 10 20",
    )
    parser.add_argument(
        "--beside",
        type=Path,
        nargs="+",
        metavar="RUN",
        help="runs to show beside it, or none (the baselines of the same tasks in the folder that holds "
        "RUN_DIR: random initialisation, multi-task, oracle, learning from scratch)",
    )
    parser.add_argument("--deterministic", action="store_true", help="measure with mean actions")
    parser.add_argument(
        "--later_step_scale",
        type=PositiveFloat,
        help="scale of inner steps after the first, e.g. 0.5 as in Finn et al. 2017 (as in training; not of "
        "MAML++, which learns them)",
    )
    parser.add_argument(
        "--scale",
        type=float,
        default=1.5,
        help="out-of-distribution tasks lie beyond the usual range, up to so many times as wide (1.5)",
    )
    named = parser.parse_args().protocol
    parser.set_defaults(**PROTOCOLS.get(named, {}))
    return parser.parse_args()


def evaluate(
    arguments: argparse.Namespace,
    titles: Mapping[str, str],
    baselines: Mapping[str, Baseline],
    environment: str,
) -> tuple[dict[str, Measured], Path | None, int]:
    """What was measured on every task list, by its name, the folder that keeps it, and how much failed."""
    measured: dict[str, Measured] = {}
    folder, faults = None, 0

    def failed(what: str, error: MetaRLError) -> None:
        nonlocal faults
        faults += 1
        write_line(f"error: {what}: {error}", sys.stderr)

    def failed_beside(label: str, error: MetaRLError) -> None:
        if arguments.beside is None:
            write_line(f"{label} is left out: {error}", sys.stderr)
        else:
            failed(f"--beside {label}", error)

    total = len(titles) * rollouts_of_a_list(arguments, baselines)
    with Progress(total, "rollout", quiet=arguments.quiet) as bar:
        for name, title in titles.items():
            try:
                measured[title], figures = measure(
                    arguments,
                    name,
                    title,
                    baselines,
                    bar.advance,
                    failed_beside,
                )
            except MetaRLError as error:
                failed(f"--on {name}", error)
                continue
            folder = folder or new_evaluation(results_folder(arguments.run_dir[0]))
            protocol = {option: getattr(arguments, option) for option in OPTIONS}
            if BEYOND not in titles:
                protocol["scale"] = None
            heading = f"{environment}, {', '.join(map(str, arguments.run_dir))}"
            write_evaluation(folder, heading, own_name(arguments), measured, protocol)
            draw(folder, own_name(arguments), environment, measured)
            for figure_name, figure in figures.items():
                save(figure, figure_file(folder, title, figure_name))
    return measured, folder, faults


def own_name(arguments: argparse.Namespace) -> str:
    """What is evaluated, beside which others may stand."""
    return str(arguments.run_dir[0].name or arguments.run_dir[0])


def draw(folder: Path, own: str, title: str, measured: Mapping[str, Measured]) -> None:
    """Draws what all lists have a part in."""
    curves = {name: one.own.pooled for name, one in measured.items()}
    intervals = {name: one.own.intervals for name, one in measured.items()}
    save(adaptation_figure(curves, title, intervals), folder / PLOT)
    if any(one.by_episodes for one in measured.values()):
        save(draw_episodes_used(measured, title), folder / EPISODES_USED)
    if any(one.beside for one in measured.values()):
        save(draw_beside(measured, own, title), folder / BESIDE)


def save(figure: Figure, path: Path) -> None:
    """Writes the figure as a PNG and an SVG."""
    for suffix in (".png", ".svg"):
        figure.savefig(path.with_suffix(suffix))


def show(own: str, one: Measured) -> None:
    """Prints what was measured on one list."""
    for heading, table in list_tables(own, one).items():
        print(f"\n{heading}:\n\n{table.text()}")
    print(f"\n{gain_text(one.own)}\n{changes_text(one.own)}")
    if (worse := worse_table(one.own)) is not None:
        print(f"\n{worse.text()}")
