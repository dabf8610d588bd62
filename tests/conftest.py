"""Configs and runs that several tests share."""

from __future__ import annotations

import gc
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch
import yaml

import tests.support.tiny_envs  # noqa: F401  registers tests/Drift-v0
from metarl.experiment.build import build_experiment
from metarl.experiment.config import read_config
from metarl.experiment.experiments import ExperimentConfig
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.folder import hold_run_folder
from metarl.training.observers import Observer
from metarl.training.run_start import prepare_run
from metarl.training.run_training import run_training
from tests.support.warm_commands import ROOT, run_script

SMALL = {
    "seed": 3,
    "environment": {"id": "metarl/PointNavigation-v0", "horizon": 8, "options": {"preset": "maml"}},
    "policy": {"hidden_sizes": [8, 8]},
    "sampling": {"tasks": 3, "episodes": 4},
    "meta_learner": {"name": "maml", "inner_step_size": 0.1},
    "training": {
        "iterations": 4,
        "table_every": 1,
        "evaluation_tasks": 2,
        "evaluation_episodes": 2,
        "evaluation_steps": 1,
        "figures": False,
    },
}


LONGEST = (
    "test_golden_runs",
    "test_several_ranks",
    "test_scripts",
    "test_run_training",
    "test_commands_of_pages",
    "test_config",
    "test_old_folders",
    "test_every_learner",
    "test_hostile_envs",
)
"""Files of tests that take longest."""


NIGHTLY = Path(__file__).with_name("nightly.txt")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks as slow what nightly.txt names; the longest files first, so that two processes end together."""
    lines = NIGHTLY.read_text().splitlines()
    nightly = re.compile("|".join(line for line in lines if line and not line.startswith("#")))
    for item in items:
        if nightly.search(item.nodeid):
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.nightly)
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


def pytest_collection_finish() -> None:
    """What is imported and collected stays: no collection of garbage need look at it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Torch computes in this thread alone, as in training."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def trained_by_script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that scripts/train.py made; to be read alone."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    small = "--sampling.tasks 3 --sampling.episodes 4 --environment.horizon 8 --training.iterations 2"
    config = ("--config", ROOT / "configs/quickstart.yaml", "--run_dir", folder)
    done = run_script("train", *config, *small.split())
    assert done.returncode == 0, done.stderr
    assert "held-out tasks" in done.stdout
    assert "tensorboard --logdir" in done.stdout
    assert "metarl adapt" in done.stdout
    assert str(folder / "evaluation") in done.stdout
    return folder


@pytest.fixture(scope="module")
def run_dir(trained_by_script: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The module's own copy of that run."""
    return shutil.copytree(trained_by_script, tmp_path_factory.mktemp("scripts") / "run")


@pytest.fixture
def small_config_file(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump({**SMALL, "run_dir": str(tmp_path / "run")}))
    return path


@pytest.fixture
def small_config(small_config_file: Path) -> Callable[..., ExperimentConfig]:
    """(*overrides) -> config."""
    return lambda *overrides: read_config(small_config_file, overrides)


@pytest.fixture
def train_small(
    small_config: Callable[..., ExperimentConfig],
) -> Callable[..., Checkpoint]:
    """(*overrides, resume, observers) -> the final checkpoint of a run of a few seconds."""

    def run(*overrides: str, resume: bool = False, observers: Sequence[Observer] = ()) -> Checkpoint:
        config = small_config(*overrides)
        with hold_run_folder(Path(config.run_dir)):
            experiment = build_experiment(config)
            start = prepare_run(config, resume, experiment)
            return run_training(experiment, start, observers)[0]

    return run
