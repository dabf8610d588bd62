"""A run folder of somebody's executes nothing, unless it is trusted."""

import sys
from dataclasses import replace

import gymnasium
import numpy as np
import pytest

import metarl
from metarl.comparison.entries import make_entry
from metarl.comparison.judgement import Protocol
from metarl.comparison.runs import run_entry
from metarl.errors import ConfigError, RunError
from metarl.experiment.build import build_experiment
from metarl.runs.checkpoint import load_checkpoint, save_checkpoint
from metarl.runs.starting_point import initial_state
from tests.support.tiny_envs import Drift
from tests.support.warm_commands import ROOT, run_script

MODULE = """
from pathlib import Path
import gymnasium
from tests.support.tiny_envs import Drift
Path({mark!r}).touch()
gymnasium.register("strange/Drift-v0", entry_point=Drift)
"""
ID = "strange_module:strange/Drift-v0"
REFUSED = (
    f"environment.id: expected an environment that is already registered, got '{ID}', whose module would be "
    "imported: pass trust=True (--trust) if you trust this folder"
)


@pytest.fixture
def overrides():
    return ("--environment.id", ID, "--environment.options", "{}", "--environment.vectorization", "sync")


@pytest.fixture
def mark(tmp_path, monkeypatch):
    """A file that is there once the module was imported since the last look."""
    (tmp_path / "strange_module.py").write_text(MODULE.format(mark=str(tmp_path / "mark")))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path / "mark"
    forget()


def forget():
    sys.modules.pop("strange_module", None)
    gymnasium.registry.pop("strange/Drift-v0", None)


@pytest.fixture
def run_dir(train_small, overrides, mark, tmp_path):
    train_small(*overrides, "--training.iterations", "1")
    forget()
    mark.unlink()
    return tmp_path / "run"


def test_a_policy_acts_and_adapts_without_the_module_of_its_environment(run_dir, mark):
    policy = metarl.load(run_dir)
    adapted = policy.adapt(Drift(), {"velocity": 0.5}, episodes=2, steps=2)
    assert policy.action_space.contains(adapted.predict(np.zeros(1))[0])
    with pytest.raises(RunError) as raised:
        _ = policy.experiment
    assert str(raised.value) == REFUSED
    assert not mark.exists()
    _ = metarl.load(run_dir, trust=True).experiment
    assert mark.exists()


def test_a_module_is_imported_for_an_earlier_versions_folder_that_is_trusted_alone(run_dir, mark):
    save_checkpoint(run_dir, replace(load_checkpoint(run_dir), description=None))
    with pytest.raises(RunError) as raised:
        metarl.load(run_dir)
    assert str(raised.value) == REFUSED
    assert not mark.exists()
    metarl.load(run_dir, trust=True)
    assert mark.exists()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("adapt", ["--task", '{"velocity": 0.5}', "--episodes", "2"]),
        ("evaluate", ["--tasks", "2", "--steps", "1", "--episodes", "2"]),
        ("render", ["--task", '{"velocity": 0.5}', "--output", "OUTPUT.png"]),
    ],
)
def test_scripts_take_trust(run_dir, mark, tmp_path, name, arguments):
    words = [word.replace("OUTPUT", str(tmp_path / "film")) for word in arguments]
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'envs'}:{tmp_path}"}

    def run(*more):
        return run_script(name, run_dir, *words, *more, env=environment)

    refused = run()
    assert refused.returncode == 2
    assert [line for line in refused.stderr.splitlines() if "error" in line] == [f"error: {REFUSED}"]
    assert "Traceback" not in refused.stderr
    assert not mark.exists()
    trusted = run("--trust")
    assert mark.exists()
    assert REFUSED not in trusted.stderr
    assert trusted.returncode == (2 if name == "render" else 0), trusted.stderr  # it draws nothing


def test_training_starts_at_a_run_without_importing_its_environment(run_dir, mark, small_config, overrides):
    start = ("--policy.start_from", str(run_dir))
    other = ("--environment.id", "tests/Drift-v0", *overrides[2:])
    initial_state(build_experiment(small_config(*other, *start)))
    assert not mark.exists()
    save_checkpoint(run_dir, replace(load_checkpoint(run_dir), description=None))
    with pytest.raises(
        ConfigError,
        match=r"^policy\.start_from: .*would be imported.*; or give both runs the same env",
    ):
        initial_state(build_experiment(small_config(*other, *start)))
    assert not mark.exists()
    initial_state(build_experiment(small_config(*overrides, *start)))
    assert mark.exists()


def test_a_comparison_takes_the_users_own_configs_as_they_are(small_config_file, mark, overrides, tmp_path):
    text = small_config_file.read_text().replace("metarl/PointNavigation-v0", ID)
    small_config_file.write_text(
        text.replace("preset: maml", "{}").replace("horizon", "vectorization: sync\n  horizon")
    )
    protocol = Protocol(tasks=2, episodes=2, steps=1)
    entry = make_entry(small_config_file, 1, 100, tmp_path, protocol, 1)
    found = run_entry(entry, protocol, (), lambda steps: None, lambda *done: None)
    assert found.returns.shape == (2, 2)
