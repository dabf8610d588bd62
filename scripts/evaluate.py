"""Evaluates a run: python scripts/evaluate.py RUN_DIR --tasks 40 --steps 3. Returns are measured on episodes
that adaptation did not use. Writes a CSV, a JSON and a PNG to RUN_DIR/evaluation."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path
from typing import Any

import torch
from jsonargparse.typing import NonNegativeInt, PositiveFloat, PositiveInt
from metarl_envs.task_files import read_tasks
from metarl_envs.tasks import Tasks, TaskSpace, number_of_tasks
from tqdm import tqdm

from metarl.build import Experiment
from metarl.config import load_run_config
from metarl.errors import ConfigError, MetaRLError
from metarl.meta_policy import load
from metarl.run_training import format_curve
from metarl.training.evaluation import AdaptationCurve
from metarl.training.plots import plot_adaptation

HELD_OUT, TRAINING, BEYOND = "held-out", "training", "out-of-distribution"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run_dir", type=Path, help="folder of a run")
    parser.add_argument("--tasks", type=PositiveInt, default=40, help="tasks of a drawn list (40)")
    parser.add_argument(
        "--on",
        nargs="+",
        default=[HELD_OUT],
        metavar="LIST",
        help="task lists: held-out, training (the first ones drawn in it), out-of-distribution, or a JSON or "
        "YAML file of tasks (held-out)",
    )
    parser.add_argument("--steps", type=PositiveInt, default=3, help="inner steps (3)")
    parser.add_argument("--episodes", type=PositiveInt, default=20, help="episodes a task and step (20)")
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
    parser.add_argument("--seed", type=NonNegativeInt, default=0, help="chooses tasks and noise (0)")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")
    parser.add_argument(
        "--trust", action="store_true", help="import the module that the run's environment names"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # threads take whole tasks, as in training
    try:
        curves = evaluate(arguments)
        folder = arguments.run_dir / "evaluation"
        options = ("episodes", "seed", "deterministic", "later_step_scale", "scale")
        protocol = {option: getattr(arguments, option) for option in options}
        write(curves, folder, load_run_config(arguments.run_dir).environment.id, protocol)
    except (MetaRLError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for name, curve in curves.items():
        count = curve.returns.shape[1]
        print(f"\n{curve.count} {name} tasks:\n\n{format_curve(curve)}")
        print(f"\nAdaptation made {curve.worsened} of {count} tasks worse.")
    print(f"\nWritten to {folder}:\n  adaptation.csv  adaptation.json  adaptation.png")
    return 0


def evaluate(arguments: argparse.Namespace) -> dict[str, AdaptationCurve]:
    """The curve of every task list, by its name."""
    curves: dict[str, AdaptationCurve] = {}
    titles = {
        name: name if name in (HELD_OUT, TRAINING, BEYOND) else Path(name).stem for name in arguments.on
    }
    if len(set(titles.values())) < len(arguments.on):
        raise ConfigError(f"--on: expected lists of different names, got {' '.join(arguments.on)}")
    with tqdm(total=len(arguments.on) * (arguments.steps + 1), unit="rollout", leave=False) as bar:
        for name in arguments.on:
            meta_policy = load(
                arguments.run_dir,
                arguments.device,
                later_step_scale=arguments.later_step_scale,
                environment_options={"out_of_distribution": arguments.scale} if name == BEYOND else None,
                trust=arguments.trust,
            )
            experiment = meta_policy.experiment
            tasks = task_list(experiment, name, arguments)
            curves[titles[name]], _ = experiment.evaluate(
                meta_policy.parameters,
                tasks,
                episodes=arguments.episodes,
                steps=arguments.steps,
                seed=arguments.seed,
                deterministic=arguments.deterministic,
                progress=bar.update,
                where=f"evaluation on {name} tasks",
            )
    return curves


def task_list(experiment: Experiment, name: str, arguments: argparse.Namespace) -> Tasks:
    """The tasks of a list by its name, or of a file.

    Raises:
        ConfigError: no such list, or a file without tasks of this environment.
    """
    if name in (HELD_OUT, BEYOND):
        return experiment.held_out_tasks(arguments.tasks, arguments.seed)
    if name == TRAINING:
        return experiment.training_tasks(arguments.tasks)
    space = experiment.task_source
    if not Path(name).is_file() or not isinstance(space, TaskSpace):
        expected = (
            f"{HELD_OUT}, {TRAINING}, {BEYOND} or a JSON or YAML file of tasks of metarl's environments"
        )
        raise ConfigError(f"--on: expected {expected}, got {name}")
    try:
        return read_tasks(name, space)
    except ValueError as error:
        raise ConfigError(f"--on: {name}: {error}") from error


def write(curves: dict[str, AdaptationCurve], folder: Path, title: str, protocol: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "adaptation.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        for name, curve in curves.items():
            columns = {key: values.reshape(len(values), -1) for key, values in curve.tasks.items()}
            if file.tell() == 0:
                named = [
                    f"{key}_{i}" if values.shape[1] > 1 else key
                    for key, values in columns.items()
                    for i in range(values.shape[1])
                ]
                returns = [f"return_after_{step}_steps" for step in range(len(curve.returns))]
                writer.writerow(["tasks", *named, *returns])
            for i in range(number_of_tasks(curve.tasks)):
                task = [number for values in columns.values() for number in values[i].tolist()]
                writer.writerow([name, *task, *curve.returns[:, i].tolist()])
    summary = {name: summarised(curve) for name, curve in curves.items()}
    text = json.dumps({"lists": summary, "protocol": protocol}, indent=2)
    (folder / "adaptation.json").write_text(text + "\n")
    plot_adaptation(curves, title, folder / "adaptation.png")


def summarised(curve: AdaptationCurve) -> dict[str, Any]:
    return {
        "tasks": curve.returns.shape[1],
        "mean_return": curve.mean.tolist(),
        "half_width_95": [None if h != h else h for h in curve.half_width.tolist()],
        "tasks_made_worse": curve.worsened,
    }


if __name__ == "__main__":
    sys.exit(main())
