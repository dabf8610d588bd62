"""Evaluates a run on held-out tasks: python scripts/evaluate.py RUN_DIR --tasks 40 --steps 3. Writes a CSV,
a JSON and a PNG to RUN_DIR/evaluation."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path

import numpy as np
import torch
from jsonargparse.typing import NonNegativeInt, PositiveInt
from tqdm import tqdm

from metarl.errors import MetaRLError
from metarl.meta_policy import load
from metarl.run_training import format_curve
from metarl.training.evaluation import AdaptationCurve
from metarl.training.plots import plot_adaptation


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run_dir", type=Path, help="folder of a run")
    parser.add_argument("--tasks", type=PositiveInt, default=40, help="held-out tasks (40)")
    parser.add_argument("--steps", type=PositiveInt, default=3, help="inner steps (3)")
    parser.add_argument("--episodes", type=PositiveInt, default=20, help="episodes a task and step (20)")
    parser.add_argument("--seed", type=NonNegativeInt, default=0, help="chooses tasks and noise (0)")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # threads take whole tasks, as in training
    try:
        meta_policy = load(arguments.run_dir, arguments.device)
        experiment = meta_policy.experiment
        with tqdm(total=arguments.steps + 1, unit="rollout", leave=False) as bar:
            curve, _ = experiment.evaluate(
                meta_policy.parameters,
                experiment.held_out_tasks(arguments.tasks, arguments.seed),
                episodes=arguments.episodes,
                steps=arguments.steps,
                seed=arguments.seed,
                progress=bar.update,
            )
        folder = arguments.run_dir / "evaluation"
        protocol = {
            "episodes_per_step": arguments.episodes,
            "seed": arguments.seed,
        }
        write(curve, folder, experiment.config.environment.id, protocol)
    except (MetaRLError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(format_curve(curve))
    print(f"\nAdaptation made {curve.worsened} of {arguments.tasks} tasks worse. Written to {folder}:")
    print("  adaptation.csv  adaptation.json  adaptation.png")
    return 0


def write(curve: AdaptationCurve, folder: Path, title: str, protocol: dict[str, float]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    steps = [f"return_after_{step}_steps" for step in range(len(curve.returns))]
    columns = {name: values.reshape(len(values), -1) for name, values in curve.tasks.items()}
    header = [
        f"{name}_{i}" if values.shape[1] > 1 else name
        for name, values in columns.items()
        for i in range(values.shape[1])
    ]
    table = np.concatenate([*columns.values(), curve.returns.T], axis=1)
    with (folder / "adaptation.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*header, *steps])
        writer.writerows(table.tolist())
    summary = {
        "tasks": curve.returns.shape[1],
        "mean_return": curve.mean.tolist(),
        "half_width_95": [None if h != h else h for h in curve.half_width.tolist()],
        "tasks_made_worse": curve.worsened,
        **protocol,
    }
    (folder / "adaptation.json").write_text(json.dumps(summary, indent=2) + "\n")
    plot_adaptation(curve, title, folder / "adaptation.png")


if __name__ == "__main__":
    sys.exit(main())
