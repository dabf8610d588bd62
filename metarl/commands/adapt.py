"""Adapts a run's meta-policy to one task: metarl adapt RUN_DIR --task '{"velocity": 1.5}'
--episodes 20 --steps 3 [--save DIR]. Prints the return after every step, and writes it to a CSV and to
TensorBoard, in RUN_DIR/adaptation."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch
from jsonargparse.typing import NonNegativeInt, PositiveInt
from metarl_envs.tasks import stack_tasks
from torch.utils.tensorboard import SummaryWriter

from metarl.errors import ConfigError, MetaRLError
from metarl.math.parameters import select
from metarl.runs.files import TABLE
from metarl.runs.meta_policy import AdaptedPolicy, load
from metarl.runs.results import new_adaptation, write_adaptation
from metarl.training.progress_bar import Progress, add_quiet
from metarl.training.run_training import format_curve


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run_dir", type=Path, help="folder of a run")
    parser.add_argument("--task", required=True, help="as JSON, e.g. '{\"velocity\": 1.5}', or a file of it")
    parser.add_argument("--episodes", type=PositiveInt, default=20, help="episodes a step (20)")
    parser.add_argument("--steps", type=PositiveInt, default=1, help="inner steps (1)")
    parser.add_argument("--seed", type=NonNegativeInt, default=0, help="of the episodes (0)")
    parser.add_argument("--save", type=Path, metavar="DIR", help="write the adapted policy there")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")
    parser.add_argument("--trust", action="store_true", help="import the modules that the run's config names")
    add_quiet(parser)
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # threads take whole tasks, as in training
    try:
        meta_policy = load(arguments.run_dir, arguments.device, trust=arguments.trust)
        experiment = meta_policy.experiment
        task = read_task(arguments.task, experiment.task_source)
        with Progress(arguments.steps + 1, "rollout", quiet=arguments.quiet) as bar:
            found = experiment.evaluate(
                meta_policy.parameters,
                stack_tasks([task]),
                episodes=arguments.episodes,
                steps=arguments.steps,
                seed=arguments.seed,
                progress=bar.advance,
            )
        curve = found.curve
        folder = new_adaptation(arguments.run_dir, task)
        if curve.episode_returns is not None:
            write_adaptation(folder, curve.episode_returns[:, 0])
        with SummaryWriter(str(folder)) as writer:
            for step, value in enumerate(curve.mean):
                writer.add_scalar("adaptation/return", value, step)
        name = experiment.config.environment.id
        print(f"{name}, task {arguments.task}, {arguments.episodes} episodes a step:\n")
        print(format_curve(curve))
        print(
            f"\nThe curve is in {folder / TABLE} and in TensorBoard: tensorboard --logdir {arguments.run_dir}"
        )
        if arguments.save is not None:
            AdaptedPolicy(experiment, select(found.adapted.parameters, 0)).save(arguments.save)
    except (MetaRLError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if arguments.save is not None:
        trust = ", trust=True" * arguments.trust
        print(f'The adapted policy is in {arguments.save}: metarl.load("{arguments.save}"{trust})')
    return 0


def read_task(text: str, task_source: Any) -> dict[str, Any]:
    """The task of `--task`: JSON, or the name of a file with it.

    Raises:
        ConfigError: no JSON object, or no task of the environment.
    """
    given = text
    try:
        if not text.lstrip().startswith("{"):
            text = Path(text).read_text()
        task = json.loads(text)
    except (OSError, ValueError) as error:
        expected = "JSON such as '{\"velocity\": 1.5}', or a file of it"
        raise ConfigError(f"--task: expected {expected}, got {given}") from error
    if not isinstance(task, dict):
        raise ConfigError(f"--task: expected a JSON object, got {text}")
    try:
        valid: dict[str, Any] = task_source.validate(task)
    except ValueError as error:
        raise ConfigError(f"--task: {error}") from error
    return valid
