"""The runs whose digests scripts/golden.py writes, and their records."""

from __future__ import annotations

import csv
import hashlib
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
import yaml
from tqdm import tqdm

from metarl.adaptation.evaluation import AdaptationCurve
from metarl.experiment.build import build_experiment
from metarl.experiment.config import read_config
from metarl.math.parameters import Parameters
from metarl.meta_learners.learner import named_tensors
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.files import PROGRESS
from metarl.runs.load import load_meta_policy
from metarl.training.run_start import prepare_run
from metarl.training.run_training import run_training

QUICKSTART = Path(__file__).parents[1] / "configs/quickstart.yaml"
LIBRARIES = ("mujoco", "numpy", "torch")
LOGGED = ("rollout/return_before", "rollout/return_after", "inner/kl", "update/kl")
POINT: dict[str, Any] = {
    "seed": 1,
    "environment": {"id": "metarl/PointNavigation-v0", "horizon": 20, "options": {"preset": "maml"}},
    "policy": {"hidden_sizes": [16, 16], "initial_std": 0.7, "output_gain": 0.1},
    "sampling": {"tasks": 5, "episodes": 5},
    "training": {"device": "cpu", "evaluation_tasks": 3, "evaluation_episodes": 3, "evaluation_steps": 2},
}
CHEETAH: dict[str, Any] = {
    **POINT,
    "environment": {"id": "metarl/HalfCheetahDir-v0", "horizon": 20, "options": {"action_scale": 10.0}},
}
BOTH = ("trpo", "ppo")
LEARNERS = {
    **dict.fromkeys(("maml", "anil", "e_maml", "meta_sgd", "imaml", "cavia", "multi_task"), BOTH),
    **dict.fromkeys(("promp", "maml_pp"), ("ppo",)),
    "reptile": ("sgd", "adam"),
}
"""Every learner's outer steps."""
VARIANTS: dict[str, dict[str, Any]] = {
    "first order": {"meta_learner": {"name": "maml", "first_order": True}},
    "lvc": {"meta_learner": {"name": "maml", "inner_objective": "lvc"}},
    "recomputed": {"meta_learner": {"name": "maml", "recompute": True}},
    "last step": {"meta_learner": {"name": "maml", "differentiated_steps": 1}},
    "adaptive penalty": {"meta_learner": {"name": "promp", "outer": "ppo", "kl_target": 0.01}},
    "bootstrapped": {
        "meta_learner": {"name": "maml"},
        "sampling": {
            **POINT["sampling"],
            "advantages": {"gae_lambda": 0.9, "bootstrap_truncated": True, "normalise": False},
        },
    },
    "relu": {"meta_learner": {"name": "maml"}, "policy": {**POINT["policy"], "activation": "relu"}},
}


def main() -> int:
    torch.set_num_threads(1)
    output, *names = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        planned = plan(Path(folder))
        chosen = [name for name in planned if not names or name in names]
        runs = {name: planned[name]() for name in tqdm(chosen, unit="run", leave=False)}
    libraries = {name: version(name) for name in LIBRARIES}
    Path(output).write_text(json.dumps({"libraries": libraries, "runs": runs}, indent=1) + "\n")
    print(f"{len(runs)} runs are in {output}")
    return 0


def plan(folder: Path) -> dict[str, Callable[[], Any]]:
    """Every run's name, and what trains and records it."""
    runs: dict[str, Callable[[], Any]] = {}

    def add(name: str, settings: dict[str, Any], iterations: int) -> None:
        runs[name] = partial(trained, folder / name, settings, iterations)

    for name, outers in LEARNERS.items():
        for outer in outers:
            learner: dict[str, Any] = {"name": name, "outer": outer}
            for steps in (1, 2):
                own = {} if name == "multi_task" else {"inner_steps": steps}
                settings = {**POINT, "meta_learner": {**learner, **own}}
                add(f"{name} {outer}, K = {steps}, PointNavigation", settings, 2)
            add(f"{name} {outer}, HalfCheetahDir", {**CHEETAH, "meta_learner": learner}, 1)
    for name, sections in VARIANTS.items():
        learner = {**sections["meta_learner"], "inner_steps": 2}
        add(f"{name}, K = 2, PointNavigation", {**POINT, **sections, "meta_learner": learner}, 2)
    runs["resumed"] = partial(resumed, folder / "resumed", {**POINT, "meta_learner": {"name": "maml"}})
    runs["adapted"] = partial(adapted, folder / "resumed")
    add("quickstart", yaml.safe_load(QUICKSTART.read_text()), 20)
    return runs


def trained(folder: Path, sections: dict[str, Any], iterations: int) -> Any:
    """What a run learned and logged, 0 where it has no such column, and the evaluator's curve."""
    final, curve = train(folder, sections, iterations)
    with (folder / PROGRESS).open(newline="") as file:
        rows = list(csv.DictReader(file))
    logged = {key: [float(row.get(key, 0)) for row in rows] for key in LOGGED}
    returns = curve.returns.mean(1).tolist()
    return record(final.state.parameters, moments(final), {**logged, "curve": returns})


def moments(final: Checkpoint) -> Parameters:
    """Of the outer optimiser by name; none where it has made no step."""
    named = named_tensors(final.state.optimiser)
    steps = [value for name, value in named.items() if name.startswith("step.")]
    return named if any(steps) else {}


def resumed(folder: Path, sections: dict[str, Any]) -> Any:
    """A run of two iterations that stopped after the first."""
    train(folder, sections, 1)
    final, curve = train(folder, sections, 2, resume=True)
    return record(final.state.parameters, {}, {"curve": curve.returns.mean(1).tolist()})


def adapted(folder: Path) -> Any:
    """A run's policy, adapted to a task in an ordinary environment."""
    env = gymnasium.make("metarl/PointNavigation-v0", max_episode_steps=20, preset="maml")
    policy = load_meta_policy(folder).adapt(env, {"goal": [0.2, -0.3]}, episodes=4, steps=2, seed=5)
    actions, _ = policy.predict(np.linspace(-1, 1, 10).reshape(5, 2), deterministic=True)
    values = {"returns": list(policy.returns), "actions": actions.ravel().tolist()}
    return record(policy.parameters, {}, values)


def train(
    folder: Path, sections: dict[str, Any], iterations: int, resume: bool = False
) -> tuple[Checkpoint, AdaptationCurve]:
    config = folder.with_suffix(".yaml")
    config.write_text(yaml.safe_dump({**sections, "run_dir": str(folder)}))
    overrides = {"training.iterations": iterations, "training.device": "cpu", "training.figures": False}
    experiment = build_experiment(read_config(config, overrides))
    start = prepare_run(experiment.config, resume, experiment)
    return run_training(experiment, start)


def record(parameters: Parameters, optimiser: Parameters, values: Mapping[str, Sequence[float]]) -> Any:
    """A digest of everything, and numbers that tell how far off it is where it differs."""
    content = hashlib.sha256(json.dumps(values, sort_keys=True).encode())
    for tensors in (parameters, optimiser):
        for name, value in sorted(tensors.items()):
            content.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            content.update(value.contiguous().numpy().tobytes())
    norms = [float(value.double().norm()) for _, value in sorted(parameters.items())]
    return {"digest": content.hexdigest()[:16], "norms": norms, **values}


if __name__ == "__main__":
    sys.exit(main())
