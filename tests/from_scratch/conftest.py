"""A small config that learns from scratch."""

import pytest
import torch
import yaml

from metarl.experiment.config import read_config

SCRATCH = {
    "seed": 3,
    "environment": {"id": "metarl/PointNavigation-v0", "horizon": 8},
    "policy": {"hidden_sizes": [8]},
    "from_scratch": {
        "num_envs": 3,
        "environment_steps": 300,
        "evaluation_interval": 40,
        "settings": {"n_steps": 4, "batch_size": 12},
    },
    "training": {"evaluation_tasks": 3, "evaluation_episodes": 2, "evaluation_steps": 3},
}
TARGETS = [0, 16, 32, 40, 48, 80, 100]
OFF_POLICY = {"learning_starts": 5, "buffer_size": 200, "batch_size": 4, "train_freq": 2}


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def config_file(tmp_path):
    path = tmp_path / "scratch.yaml"
    path.write_text(yaml.safe_dump({**SCRATCH, "run_dir": str(tmp_path / "run")}))
    return path


@pytest.fixture
def config(config_file):
    """(*overrides) -> config."""
    return lambda *overrides: read_config(config_file, overrides)


def kept(folder):
    """The numbers of the finished tasks."""
    return sorted(path.name.partition("-")[0] for path in (folder / "tasks").iterdir())
