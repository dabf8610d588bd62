"""The Python of the README and of the pages of docs runs as it stands, and their configs are configs."""

import re
from pathlib import Path

import gymnasium
import metarl_envs
import numpy as np
import pytest
import torch
import yaml

import metarl
from metarl.commands.compare import check_markers
from metarl.experiment.config import read_config
from metarl.meta_learners.registry import META_LEARNERS

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = {path.name: path.read_text() for path in (README, *sorted((ROOT / "docs").glob("*.md")))}
TEXT = "\n".join(PAGES.values())
BLOCKS = re.findall(r"<!-- tested(: a trained run)? -->\n```python\n(.*?)```", TEXT, re.DOTALL)


def blocks(containing):
    return next(code for _, code in BLOCKS if containing in code)


def test_every_block_is_tested():
    assert len(BLOCKS) == TEXT.count("```python") == 8


def test_the_readme_is_short_and_compare_finds_its_place_there():
    assert len(PAGES["README.md"].splitlines()) <= 200
    check_markers(README)


def test_the_tutorials_config_is_one(tmp_path):
    (config,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "mine.yaml").write_text(config)
    assert read_config(tmp_path / "mine.yaml").meta_learner_name == "promp"


def test_a_run_adapts_in_python(train_small, tmp_path):
    environment = ("--environment.id", "metarl/HalfCheetahVel-v0", "--environment.options", "{}")
    train_small(*environment, "--training.iterations", "1")
    code = blocks("evaluate_policy(adapted").replace("runs/half_cheetah_vel", str(tmp_path / "run"))
    names: dict[str, object] = {}
    exec(code.replace("max_episode_steps=100", "max_episode_steps=5"), names)
    assert names["action"].shape == (6,)
    assert np.isfinite([names["before"], names["after"]]).all()


def test_the_tutorials_policy_acts(train_small, tmp_path):
    train_small("--training.iterations", "1")
    code = blocks("runs/quickstart").replace("runs/quickstart", str(tmp_path / "run"))
    names: dict[str, object] = {}
    exec(code.replace("episodes=20", "episodes=2"), names)
    assert np.isfinite([names["before"], names["after"], names["total"]]).all()


@pytest.mark.filterwarnings("ignore:.*num_threads:UserWarning")
def test_an_adapted_policy_goes_on_in_stable_baselines3(train_small, tmp_path, monkeypatch):
    environment = ("--environment.id", "metarl/HalfCheetahVel-v0", "--environment.options", "{}")
    train_small(*environment, "--training.iterations", "1")
    monkeypatch.chdir(tmp_path)
    code = blocks("to_sb3").replace("runs/half_cheetah_vel", "run")
    names: dict[str, object] = {}
    exec(code.replace("max_episode_steps=100", "max_episode_steps=5"), names)
    zipped = ("--policy.start_from", "model.zip", "--run_dir", "again", *environment)
    again = train_small(*zipped, "--training.iterations", "0").state.parameters
    learned = names["model"].policy.state_dict()
    torch.testing.assert_close(again["mean.bias"], learned["action_net.bias"])


def test_environments_stand_alone():
    names: dict[str, object] = {}
    exec(blocks("make_vec"), names)
    assert names["observations"].shape == (800, 17)


def test_tasks_are_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(blocks("space.split"), names)
    assert names["vectors"].shape == (100, 2)
    read = metarl_envs.read_tasks(tmp_path / "held_out.yaml", names["space"])
    np.testing.assert_array_equal(read["goal"], names["held_out"]["goal"])
    assert 3 < np.hypot(*names["far"].unwrapped.get_task()["goal"]) <= 4.5


def test_stable_baselines3_learns():
    threads, names = torch.get_num_threads(), {}
    try:
        exec(blocks("make_sb3_vec_env"), names)
    finally:
        torch.set_num_threads(threads)
    assert names["mean_return"] > -20  # about -50 untrained


def test_adding_an_environment():
    try:
        exec(blocks("register_family"), {})
        env = gymnasium.make("metarl/StopAt-v0")
        env.reset(options={"task": {"place": 0.5}})
        assert env.step(env.action_space.high)[1] == pytest.approx(-0.4)
    finally:
        metarl_envs.FAMILIES.pop("StopAt", None)
        gymnasium.registry.pop("metarl/StopAt-v0", None)


def test_adding_an_algorithm(train_small, small_config_file, tmp_path):
    values = yaml.safe_load(small_config_file.read_text())
    values["meta_learner"] = {"name": "pre_training", "step_size": 0.2}
    small_config_file.write_text(yaml.safe_dump(values))
    try:
        exec(blocks("register_meta_learner"), {"__name__": "readme"})
        assert train_small().iteration == 4
        assert metarl.load(tmp_path / "run").experiment.config.meta_learner.step_size == 0.2
        with pytest.raises(metarl.ConfigError, match=r"later_step_scale: .*, got pre_training; leave it out"):
            metarl.load(tmp_path / "run", later_step_scale=0.5)
    finally:
        META_LEARNERS.pop("pre_training", None)
