"""Policies load and act by what their file says, from a folder or from one file."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch

import metarl
from metarl.errors import ConfigError, RunError
from metarl.experiment.plain_yaml import dump_yaml, load_yaml
from metarl.runs.checkpoint import load_checkpoint, load_policy, save_checkpoint, save_policy
from metarl.runs.description import describe
from metarl.runs.files import CONFIG, POLICY
from metarl.runs.load import load_meta_policy
from metarl.runs.policy_file import PolicyFile, write_policy
from metarl.runs.run_config import config_digest
from metarl.training.run_start import prepare_run
from tests.support.tiny_envs import Drift

ROOT = Path(__file__).parents[2]
TASK = {"goal": [0.2, -0.1]}
OBSERVATIONS = np.linspace(-1, 1, 10).reshape(5, 2)
ACT = """
import sys
import metarl
policy = metarl.load(sys.argv[1])
print(type(policy).__name__, policy.predict([[0.5]], deterministic=True)[0].tolist())
assert "tests.support.tiny_envs" not in sys.modules
"""


@pytest.fixture
def env():
    return gymnasium.make("metarl/PointNavigation-v0", max_episode_steps=8, preset="maml")


@pytest.fixture
def run_dir(train_small, tmp_path):
    train_small("--training.iterations", "1", "--training.snapshot_every", "100")
    return tmp_path / "run"


def actions(policy):
    return policy.predict(OBSERVATIONS, deterministic=True)[0]


@pytest.mark.parametrize("name", ["maml", "cavia", "maml_pp"])
def test_an_adapted_policy_is_one_file(train_small, tmp_path, env, name):
    train_small("--meta_learner.name", name, "--training.iterations", "1")
    adapted = metarl.load(tmp_path / "run").adapt(env, TASK, episodes=3, steps=2)
    path = tmp_path / "somewhere" / "goal.safetensors"
    adapted.save(path)
    assert [file.name for file in path.parent.iterdir()] == ["goal.safetensors"]
    loaded = metarl.load(path)
    assert type(loaded) is metarl.AdaptedPolicy
    assert not isinstance(metarl.load(tmp_path / "run"), metarl.AdaptedPolicy)
    assert (loaded.task, loaded.returns) == (TASK, adapted.returns)
    np.testing.assert_array_equal(actions(loaded), actions(adapted))
    for one in (adapted, loaded):
        one.set_random_seed(3)
    np.testing.assert_array_equal(loaded.predict(OBSERVATIONS)[0], adapted.predict(OBSERVATIONS)[0])


def test_a_file_acts_in_a_fresh_process_without_its_environment(train_small, tmp_path):
    foreign = (
        "--environment.id",
        "tests.support.tiny_envs:tests/Drift-v0",
        "--environment.vectorization",
        "sync",
    )
    train_small(*foreign, "--environment.options", "{}", "--training.iterations", "1")
    policy = metarl.load(tmp_path / "run")
    adapted = policy.adapt(Drift(), {"velocity": np.float32(0.5)}, episodes=2)
    adapted.save(tmp_path / "adapted.safetensors")
    for path, one in ((tmp_path / "run", policy), (tmp_path / "adapted.safetensors", adapted)):
        done = subprocess.run(
            [sys.executable, "-c", ACT, str(path)], capture_output=True, text=True, check=True
        )
        expected = one.predict([[0.5]], deterministic=True)[0].tolist()
        assert done.stdout.strip() == f"{type(one).__name__} {expected}"
    assert metarl.load(tmp_path / "adapted.safetensors").task == {"velocity": 0.5}


def test_a_policy_adapts_as_its_file_says(run_dir, env, tmp_path):
    meta_policy = metarl.load(run_dir)
    meta_policy.save(tmp_path / "meta.safetensors")
    alone = metarl.load(tmp_path / "meta.safetensors")
    assert isinstance(alone, metarl.MetaPolicy)
    options = {"episodes": 3, "steps": 2, "seed": 1}
    one, other = meta_policy.adapt(env, TASK, **options), alone.adapt(env, TASK, **options)
    assert one.returns == other.returns
    assert all(torch.equal(value, other.parameters[n]) for n, value in one.parameters.items())
    with pytest.raises(RunError, match="expected the policy of a run folder"):
        _ = alone.experiment


def test_neither_acting_nor_adapting_builds_the_runs_environment(run_dir, env, monkeypatch):
    """Its id is one that is not there any more."""
    values = load_yaml((run_dir / CONFIG).read_text())
    values["environment"]["id"] = "gone/Environment-v0"
    (run_dir / CONFIG).write_text(dump_yaml(values))
    found = load_policy_untied(run_dir)
    save_policy(run_dir, found.parameters, config_digest(run_dir), found.description)
    policy = metarl.load(run_dir)
    assert np.isfinite(policy.adapt(env, TASK, episodes=2).returns).all()
    assert actions(policy).shape == (5, 2)
    with pytest.raises(ConfigError, match="gone"):
        _ = policy.experiment


def load_policy_untied(run_dir):
    found = metarl.runs.policy_file.read_policy(run_dir / POLICY)
    environment = {**found.description.environment, "id": "gone/Environment-v0"}
    return replace(found, description=replace(found.description, environment=environment))


def test_folders_of_earlier_versions_load_by_their_experiment(run_dir, env):
    described = metarl.load(run_dir)
    save_checkpoint(run_dir, replace(load_checkpoint(run_dir), description=None))
    assert load_policy(run_dir).description is None
    found = metarl.load(run_dir)
    assert found.description == described.description
    options = {"episodes": 3, "steps": 2, "seed": 1}
    assert found.adapt(env, TASK, **options).returns == described.adapt(env, TASK, **options).returns
    with pytest.raises(RunError, match="describes itself, got one of an earlier version; load the folder"):
        metarl.load(run_dir / POLICY)


def test_changes_at_loading_reach_adaptation_and_experiment(run_dir, env):
    changes = {"later_step_scale": 0.5, "environment_options": {"out_of_distribution": 2.0}}
    changed, plain = metarl.load(run_dir, **changes), metarl.load(run_dir)
    assert changed.description.adaptation.meta_learner["later_step_scale"] == 0.5
    assert changed.description == replace(describe(changed.experiment), kind="run")
    one, two = (policy.adapt(env, TASK, episodes=3, steps=2).parameters for policy in (changed, plain))
    assert not all(torch.equal(value, two[n]) for n, value in one.items())
    for options in (changes, {"iteration": 0}):
        with pytest.raises(RunError, match="expected a run folder, to take another"):
            metarl.load(run_dir / POLICY, **options)


def test_an_adapted_policy_is_told_from_one_that_adapts(run_dir, env, tmp_path):
    metarl.load(run_dir).adapt(env, TASK, episodes=2).save(tmp_path / "adapted")
    assert type(metarl.load(tmp_path / "adapted")) is metarl.AdaptedPolicy
    with pytest.raises(RunError, match=r"adapted, a policy that is adapted to a task already.*run's folder"):
        load_meta_policy(tmp_path / "adapted")
    with pytest.raises(RunError, match="expected a meta-policy to change"):
        metarl.load(tmp_path / "adapted", later_step_scale=0.5)
    metarl.load(run_dir).save(tmp_path / "meta")
    assert load_meta_policy(tmp_path / "meta").experiment.config == metarl.load(run_dir).experiment.config


@pytest.mark.parametrize("resume", [False, True])
def test_saved_policy_or_run_is_told_by_the_policy(run_dir, env, small_config, tmp_path, resume):
    """Also where a run lost its other files, and where a saved policy got some."""
    policy = metarl.load(run_dir)
    policy.adapt(env, TASK, episodes=2).save(tmp_path / "adapted")
    policy.save(tmp_path / "meta")
    (tmp_path / "meta" / "progress.csv").touch()
    for folder in ("adapted", "meta"):
        config = small_config("--run_dir", str(tmp_path / folder), "--training.device", "cpu")
        with pytest.raises(RunError, match="expected a folder for a run, found a saved policy"):
            prepare_run(config, resume, policy.experiment)
    for name in ("checkpoint.safetensors", "progress.csv"):
        (run_dir / name).unlink()
    with pytest.raises(RunError, match="expected a folder of its own"):
        policy.save(run_dir)


def test_no_file_of_a_run_is_written_over(run_dir, tmp_path):
    policy = metarl.load(run_dir)
    for name in (POLICY, "checkpoint.safetensors"):
        with pytest.raises(
            RunError, match="expected a folder of its own for the policy, got the training run"
        ):
            policy.save(run_dir / name)
    policy.save(run_dir / "mine.safetensors")
    (tmp_path / "file").touch()
    for path in ("file/goal.safetensors", "file/folder"):
        with pytest.raises(RunError, match="expected a place to write to"):
            policy.save(tmp_path / path)


def test_foreign_and_damaged_files_are_told(run_dir, tmp_path):
    (tmp_path / "text.safetensors").write_text("nothing")
    for name, message in (
        ("text.safetensors", "expected a safetensors file"),
        ("none.safetensors", r"expected a policy file or a run folder, found neither: .*none\.safetensors"),
        ("run/checkpoint.safetensors", "expected a metarl policy"),
    ):
        with pytest.raises(RunError, match=message):
            metarl.load(tmp_path / name)
    found = load_policy(run_dir)
    path = tmp_path / "other.safetensors"
    mixed = {**found.parameters, "log_std": found.parameters["log_std"].double()}
    for parameters in ({"mean.bias": torch.zeros(2)}, mixed):
        write_policy(path, replace(found, parameters=parameters))
        with pytest.raises(RunError, match=r"other\.safetensors: its parameters are not those of the policy"):
            metarl.load(path)
    text = found.description.to_json()
    for settings in ({"hidden_sizes": "wide"}, {"hidden_sizes": [-1]}):
        data = json.loads(text)
        data["policy"]["settings"] |= settings
        description = metarl.runs.description.read_description(json.dumps(data))
        write_policy(path, PolicyFile(found.parameters, None, description))
        with pytest.raises(RunError, match=r"other\.safetensors: policy: expected settings of gaussian_mlp"):
            metarl.load(path)


@pytest.mark.parametrize(
    ("meta_learner", "message"),
    [
        ({"name": "nonsense"}, "expected one of .* got 'nonsense'"),
        ({"name": "no_such_module:learner"}, "got 'no_such_module:learner', whose module would be imported"),
        ({"name": "maml", "depth": 3}, "adaptation: expected settings that maml takes"),
        ({"name": "meta_sgd"}, "its parameters are not those that meta_sgd adapts"),
    ],
)
def test_a_learner_that_cannot_be_had_costs_adaptation_alone(run_dir, env, tmp_path, meta_learner, message):
    found = load_policy(run_dir)
    adaptation = replace(found.description.adaptation, meta_learner=meta_learner)
    description = replace(found.description, adaptation=adaptation)
    write_policy(tmp_path / "a.safetensors", PolicyFile(found.parameters, None, description))
    policy = metarl.load(tmp_path / "a.safetensors")
    assert actions(policy).shape == (5, 2)
    with pytest.raises(RunError, match=message):
        policy.adapt(env, TASK)
