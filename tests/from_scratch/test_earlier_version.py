"""Version 0.1.0 had learning from scratch as a meta-learner: its configs and run folders are read."""

import json

import numpy as np
import pytest
import yaml
from stable_baselines3 import PPO

from metarl.errors import ConfigError
from metarl.experiment.config import read_config
from metarl.experiment.experiments import ScratchExperiment
from metarl.experiment.scratch_section import NetworkConfig, ScratchConfig
from metarl.from_scratch.training import run_from_scratch
from metarl.runs.run_config import load_run_config

SETTINGS = {"batch_size": 12, "n_steps": 4}
RESOLVED = {
    "seed": 3,
    "environment": {
        "id": "metarl/PointNavigation-v0",
        "horizon": 8,
        "options": {},
        "vectorization": "native",
    },
    "policy": {
        "hidden_sizes": [8],
        "activation": "tanh",
        "initial_std": 1.0,
        "min_std": 1e-6,
        "output_gain": 1.0,
        "start_from": "",
    },
    "meta_learner": {
        "name": "scratch",
        "algorithm": "ppo",
        "num_envs": 3,
        "environment_steps": 300,
        "evaluation_interval": 40,
        "deterministic": False,
        "settings": SETTINGS,
    },
    "training": {"evaluation_tasks": 1, "evaluation_episodes": 2, "evaluation_steps": 1},
}
GIVEN = {
    "seed": 3,
    "environment": {"id": "metarl/PointNavigation-v0", "horizon": 8},
    "policy": {"hidden_sizes": [8]},
    "from_scratch": {
        "num_envs": 3,
        "environment_steps": 300,
        "evaluation_interval": 40,
        "settings": SETTINGS,
    },
    "training": {"evaluation_tasks": 1, "evaluation_episodes": 2, "evaluation_steps": 1},
}
RESULTS = "0000-00e54d922dbf.json"
"""As 0.1.0 named the results of the first task."""


@pytest.fixture
def run_dir(tmp_path):
    """A finished run of 0.1.0."""
    folder = tmp_path / "run"
    (folder / "tasks").mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump({**RESOLVED, "run_dir": str(folder)}))
    numbers = {"environment_steps": [0] * 10, "seconds": [0.0] * 10, "returns": [*map(float, range(10))]}
    (folder / "tasks" / RESULTS).write_text(json.dumps({"protocol": {}, **numbers}))
    return folder


def test_its_config_is_read(run_dir):
    config = load_run_config(run_dir)
    assert isinstance(config, ScratchExperiment)
    assert config.policy == NetworkConfig(hidden_sizes=(8,))
    assert config.from_scratch == ScratchConfig(
        num_envs=3, environment_steps=300, evaluation_interval=40, settings=SETTINGS
    )


def test_its_run_is_gone_on_with_and_finished_tasks_are_found(run_dir, monkeypatch):
    monkeypatch.setattr(PPO, "learn", None)
    config = read_config({**GIVEN, "run_dir": str(run_dir)})
    result = run_from_scratch(config, resume=True)
    np.testing.assert_array_equal(result.returns[:, 0], np.arange(10.0))
    kept = yaml.safe_load((run_dir / "config.yaml").read_text())
    assert "meta_learner" not in kept
    assert load_run_config(run_dir).from_scratch == config.from_scratch


def test_a_config_is_of_one_kind(run_dir):
    both = {**RESOLVED, "meta_learner": {"name": "maml"}, "from_scratch": {}, "run_dir": "a"}
    for values, words in ((both, []), (GIVEN, ["--meta_learner.name", "maml"])):
        with pytest.raises(ConfigError, match=r"from_scratch: expected this section or meta_learner, got b"):
            read_config({**values, "run_dir": "a"}, words)
