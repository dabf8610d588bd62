"""Adapts a run's meta-policy to one task: metarl adapt RUN_DIR --task '{"velocity": 1.5}'
--episodes 20 --steps 3 [--save goal.safetensors]. Prints the return after every step, and writes it to a
CSV and to TensorBoard, in RUN_DIR/adaptation."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from torch.utils.tensorboard import SummaryWriter

from metarl.commands.arguments import add_adaptation_arguments, add_run_arguments, load_run
from metarl.commands.one_task import adapt_to, read_task
from metarl.errors import MetaRLError
from metarl.policies.plain import modules_named
from metarl.runs.files import TABLE
from metarl.runs.results import new_adaptation, write_adaptation
from metarl.training.run_training import format_curve


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    add_run_arguments(parser)
    parser.add_argument("--task", required=True, help="as JSON, e.g. '{\"velocity\": 1.5}', or a file of it")
    add_adaptation_arguments(parser, steps=1, episodes="episodes of every step")
    parser.add_argument(
        "--save",
        type=Path,
        metavar="PATH",
        help="write the adapted policy: a name in .safetensors, or a folder",
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # threads take whole tasks, as in training
    try:
        meta_policy = load_run(arguments)
        task = read_task(arguments.task, meta_policy.experiment.task_distribution)
        curve, adapted = adapt_to(meta_policy, task, arguments)
        folder = new_adaptation(arguments.run_dir, task)
        if curve.episode_returns is not None:
            write_adaptation(folder, curve.episode_returns[:, 0])
        with SummaryWriter(str(folder)) as writer:
            for step, value in enumerate(curve.mean):
                writer.add_scalar("adaptation/return", value, step)
        name = meta_policy.description.environment["id"]
        print(f"{name}, task {arguments.task}, {arguments.episodes} episodes per step:\n")
        print(format_curve(curve))
        print(
            f"\nThe curve is in {folder / TABLE} and in TensorBoard: tensorboard --logdir {arguments.run_dir}"
        )
        if arguments.save is not None:
            adapted.save(arguments.save)
    except (MetaRLError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if arguments.save is not None:
        trust = ", trust=True" * bool(modules_named(adapted.description.policy))
        print(f'The adapted policy is in {arguments.save}: metarl.load("{arguments.save}"{trust})')
    return 0
