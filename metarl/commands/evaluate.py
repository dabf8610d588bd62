"""Evaluates a run: metarl evaluate RUN_DIR --tasks 40 --steps 3. Returns are measured on episodes
that adaptation did not use. Writes a CSV, a JSON and a PNG into a folder of its own in RUN_DIR/evaluation,
after every list of tasks; one that fails costs itself alone, and the exit code is 2."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from jsonargparse.typing import PositiveFloat, PositiveInt
from metarl_envs.task_files import read_tasks
from metarl_envs.tasks import Tasks, TaskSpace

from metarl.adaptation.evaluation import AdaptationCurve
from metarl.adaptation.plots import plot_adaptation
from metarl.commands.arguments import add_adaptation_arguments, add_run_arguments, load_run
from metarl.errors import ConfigError, MetaRLError
from metarl.experiment.build import Experiment
from metarl.runs.files import PLOT, SUMMARY, TABLE
from metarl.runs.meta_policy import MetaPolicy
from metarl.runs.results import HELD_OUT, new_evaluation, write_results
from metarl.training.progress_bar import Progress, write_line
from metarl.training.run_training import format_curve

TRAINING, BEYOND = "training", "out-of-distribution"
OPTIONS = ("episodes", "seed", "deterministic", "later_step_scale", "scale")
"""Of a measurement, as adaptation.json keeps them."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    add_run_arguments(parser)
    parser.add_argument("--tasks", type=PositiveInt, default=40, help="tasks of a drawn list (40)")
    parser.add_argument(
        "--on",
        nargs="+",
        default=[HELD_OUT],
        metavar="LIST",
        help="task lists: held-out, training (the first ones drawn in it), out-of-distribution, or a JSON or "
        "YAML file of tasks (held-out)",
    )
    add_adaptation_arguments(parser, steps=3, episodes="episodes of every task and step")
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
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # threads take whole tasks, as in training
    try:
        titles = titles_of(arguments.on)
        meta_policy = load_run(arguments, later_step_scale=arguments.later_step_scale)
        curves, folder = evaluate(arguments, titles, meta_policy)
    except (MetaRLError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for name, curve in curves.items():
        count = curve.returns.shape[1]
        print(f"\n{curve.count} {name} tasks:\n\n{format_curve(curve)}")
        print(f"\nAdaptation made {curve.worsened} of {count} tasks worse.")
    if curves:
        print(f"\nWritten to {folder}:\n  {TABLE}  {SUMMARY}  {PLOT}")
    return 0 if len(curves) == len(titles) else 2


def titles_of(lists: list[str]) -> dict[str, str]:
    """What each list of `--on` is called in the results.

    Raises:
        ConfigError: two lists of one name.
    """
    titles = {name: name if name in (HELD_OUT, TRAINING, BEYOND) else Path(name).stem for name in lists}
    if len(set(titles.values())) < len(lists):
        raise ConfigError(f"--on: expected lists of different names, got {' '.join(lists)}")
    return titles


def evaluate(
    arguments: argparse.Namespace, titles: dict[str, str], meta_policy: MetaPolicy
) -> tuple[dict[str, AdaptationCurve], Path | None]:
    """The curve of every task list that could be measured, by its name, and the folder that keeps them."""
    curves: dict[str, AdaptationCurve] = {}
    protocol = {option: getattr(arguments, option) for option in OPTIONS}
    folder = None
    with Progress(len(titles) * (arguments.steps + 1), "rollout", quiet=arguments.quiet) as bar:
        for name, title in titles.items():
            try:
                curves[title] = measure(arguments, name, meta_policy, bar.advance)
            except MetaRLError as error:
                write_line(f"error: --on {name}: {error}", sys.stderr)
                continue
            folder = folder or new_evaluation(arguments.run_dir)
            write_results(folder, curves, protocol)
            plot_adaptation(curves, meta_policy.experiment.config.environment.id, folder / PLOT)
    return curves, folder


def measure(
    arguments: argparse.Namespace, name: str, meta_policy: MetaPolicy, progress: Callable[[], object]
) -> AdaptationCurve:
    """The curve of one task list.

    Raises:
        MetaRLError: no such list for this environment, or one that cannot be measured.
    """
    if name == BEYOND:
        beyond = {"out_of_distribution": arguments.scale}
        scale = arguments.later_step_scale
        meta_policy = load_run(arguments, later_step_scale=scale, environment_options=beyond)
    return meta_policy.experiment.evaluate(
        meta_policy.parameters,
        task_list(meta_policy.experiment, name, arguments),
        episodes=arguments.episodes,
        steps=arguments.steps,
        seed=arguments.seed,
        deterministic=arguments.deterministic,
        progress=progress,
        where=f"evaluation on {name} tasks",
    ).curve


def task_list(experiment: Experiment, name: str, arguments: argparse.Namespace) -> Tasks:
    """The tasks of a list by its name, or of a file.

    Raises:
        ConfigError: no such list, or a file without tasks of this environment.
    """
    if name in (HELD_OUT, BEYOND):
        return experiment.held_out_tasks(arguments.tasks, arguments.seed)
    if name == TRAINING:
        return experiment.training_tasks(arguments.tasks)
    space = experiment.task_distribution
    if not Path(name).is_file() or not isinstance(space, TaskSpace):
        raise ConfigError(
            f"expected {HELD_OUT}, {TRAINING}, {BEYOND} or a JSON or YAML file of tasks of one of metarl's "
            "environments"
        )
    try:
        return read_tasks(name, space)
    except (OSError, ValueError) as error:
        raise ConfigError(str(error).removeprefix(f"{name}: ")) from error
