"""Adapts a run's meta-policy to one task: metarl adapt RUN_DIR --task '{"velocity": 1.5}'
--episodes 20 --steps 3 [--save goal.safetensors]; or in an environment of your own, --env ID or --env
module:callable. Shows the return after every step, and whether the step helped; the curve (CSV, PNG,
TensorBoard) and the policy, in one file, are in RUN_DIR/adaptation; of zoo/NAME, in runs/zoo/NAME. A policy
with memory plays --episodes in a row, or one less than in training; --held_back further trials tell whether
each of them helped."""

from __future__ import annotations

import argparse
import re
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from jsonargparse.typing import PositiveInt
from metarl_envs.task_parameters import Array

from metarl.adaptation.figures.curves import episodes_figure
from metarl.adaptation.figures.style import png
from metarl.commands.arguments import add_adaptation_arguments, add_run_arguments, load_run
from metarl.commands.live_curve import LiveCurve
from metarl.commands.one_task import adapt_in, adapt_to, read_object, read_task, with_rounds
from metarl.commands.own_env import open_env
from metarl.commands.parser import CommandParser
from metarl.errors import ConfigError, MetaRLError
from metarl.policies.plain import modules_named
from metarl.policies.policy import remembers
from metarl.runs.files import ADAPTED, PLOT, TABLE
from metarl.runs.load import load_meta_policy
from metarl.runs.meta_policy import AdaptedPolicy, MetaPolicy
from metarl.runs.places import results_folder
from metarl.runs.results import new_adaptation, write_adaptation
from metarl.runs.tables import task_text
from metarl.training.tensorboard.events import EventWriter
from metarl.training.tensorboard.glossary import describe
from metarl.training.tensorboard.groups import ADAPTATION


def main() -> int:
    arguments = read_arguments()
    torch.set_num_threads(1)  # threads take whole tasks, as in training
    try:
        meta_policy = load(arguments)
        in_a_row, rounds = remembers(meta_policy.policy), with_rounds(meta_policy, arguments)
        with LiveCurve(rounds.episodes, rounds.steps, in_a_row=in_a_row, quiet=rounds.quiet) as curve:
            returns, adapted, place, title = adapt(meta_policy, rounds, curve)
        results = results_folder(arguments.run_dir)
        folder = new_adaptation(results, place)
        write_adaptation(folder, returns, *(("episodes_before", "trial") if in_a_row else ()))
        draw(folder, returns, title, "episodes before" if in_a_row else "inner steps")
        adapted.save(folder / ADAPTED)
        how = "episodes in a row" if in_a_row else f"{rounds.episodes} episodes per step"
        print(f"{title}, {how}:\n\n{curve.table().text()}\n")
        print(f"{curve.whole()}\n{measured_on(rounds, in_a_row)}")
        print(
            f"\nThe curve is in {folder / TABLE}, as a picture in {PLOT} beside it and in TensorBoard: "
            f"tensorboard --logdir {results}"
        )
        print_policy(adapted, folder / ADAPTED)
        if arguments.save is not None:
            adapted.save(arguments.save)
            print_policy(adapted, arguments.save)
    except (MetaRLError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def read_arguments() -> argparse.Namespace:
    """Those of the command line."""
    parser = CommandParser(description=__doc__)
    add_run_arguments(parser)
    parser.add_argument("--task", help="as JSON, e.g. '{\"velocity\": 1.5}', or a file of it")
    parser.add_argument(
        "--env",
        metavar="ID",
        help="an environment of your own instead of the run's: its id, or module:callable; --task is set by "
        "its hook (set_task, ...), and without --task it keeps its own",
    )
    parser.add_argument("--env_options", help="keyword arguments of --env as JSON, or a file of it")
    add_adaptation_arguments(
        parser, steps=1, episodes="episodes of every step", with_memory="one less than in training"
    )
    parser.set_defaults(steps=None)
    parser.add_argument(
        "--held_back",
        type=PositiveInt,
        metavar="N",
        help="further episodes, the same after every step, that tell whether it helped and that no step "
        "adapts to (those of the next step); of a policy with memory, further trials (20)",
    )
    parser.add_argument(
        "--save",
        type=Path,
        metavar="PATH",
        help="write the adapted policy here too: a name in .safetensors, or a folder",
    )
    return parser.parse_args()


def load(arguments: argparse.Namespace) -> MetaPolicy:
    """The run's meta-policy; its experiment is built where it is adapted in the run's environment.

    Raises:
        MetaRLError: it cannot be loaded, or the arguments say neither a task nor an environment.
    """
    if arguments.env is not None:
        return load_meta_policy(arguments.run_dir, arguments.device, trust=arguments.trust)
    if arguments.env_options is not None:
        raise ConfigError("--env_options: expected beside --env, whose keyword arguments they are")
    if arguments.task is None:
        raise ConfigError("--task: expected the task to adapt to, as JSON; without it, --env")
    return load_run(arguments)


def adapt(
    meta_policy: MetaPolicy, arguments: argparse.Namespace, curve: LiveCurve
) -> tuple[Array, AdaptedPolicy, dict[str, Any], str]:
    """The episodes' returns, the adapted policy, what names its folder, and what it was adapted to.

    Raises:
        MetaRLError: it cannot be adapted so.
    """
    options = {"held_back": arguments.held_back, "shown": curve.show}
    if arguments.env is None:
        task = read_task(arguments.task, meta_policy.experiment.task_distribution)
        name = meta_policy.description.environment["id"]
        returns, adapted = adapt_to(meta_policy, task, arguments, **options)
        return returns, adapted, task, f"{name}, {task_text(task)}"
    given = arguments.env_options
    keywords = {} if given is None else read_object("--env_options", given, "'{\"mass\": 2}'")
    task_given = arguments.task is not None
    own_task = read_object("--task", arguments.task, "'{\"velocity\": 1.5}'") if task_given else None
    with closing(open_env(arguments.env, keywords)) as env:
        returns, adapted = adapt_in(env, meta_policy, own_task, arguments, **options)
    place = {"env": re.sub("[/:]", "-", arguments.env), **(own_task or {})}
    return returns, adapted, place, f"{arguments.env}, {task_text(own_task) if own_task else 'its own task'}"


def draw(folder: Path, returns: Array, title: str, axis: str) -> None:
    """The curve as a picture, in the folder and for TensorBoard: four points are no chart to be smoothed."""
    figure = episodes_figure(returns, title, axis)
    picture, size = png(figure), figure.get_size_inches() * figure.dpi
    (folder / PLOT).write_bytes(picture)
    events = EventWriter(folder, None, describe)
    events.image(
        f"{ADAPTATION}/adaptation_curve", picture, (round(size[0]), round(size[1])), len(returns) - 1
    )
    events.close()


def measured_on(arguments: argparse.Namespace, in_a_row: bool) -> str:
    """Which episodes the returns are of."""
    if in_a_row:
        trials = f"{arguments.held_back} further trial{'s' * (arguments.held_back > 1)}"
        return (
            f"Measured on {trials} (sign test); the adapted policy knows the first {arguments.steps} "
            f"episode{'s' * (arguments.steps > 1)} of its own."
        )
    if arguments.held_back is not None:
        held_back = f"{arguments.held_back} held-back episodes, to which no step adapts"
        return f"Measured on {held_back} (sign test)."
    return "Measured on the episodes of the next step, and after the last on as many fresh ones (sign test)."


def print_policy(adapted: AdaptedPolicy, path: Path) -> None:
    trust = ", trust=True" * bool(modules_named(adapted.description.policy))
    print(f'The adapted policy is in {path}: metarl.load("{path}"{trust})')
