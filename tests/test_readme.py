"""The Python of the README and of the pages of docs runs as it stands, and their configs are configs."""

import re
import subprocess
import sys
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
from metarl.policies.registry import POLICIES

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = {
    str(path.relative_to(ROOT)): path.read_text() for path in (README, *sorted((ROOT / "docs").rglob("*.md")))
}
TEXT = "\n".join(PAGES.values())
BLOCKS = re.findall(r"<!-- tested(: [a-z ]+)? -->\n```python\n(.*?)```", TEXT, re.DOTALL)
LINEAR = {"name": "linear", "initial_std": 0.7}


def blocks(containing):
    return next(code for _, code in BLOCKS if containing in code)


def run(containing):
    """The names of a block of code that was run, as a module is."""
    names: dict[str, object] = {"__name__": "page"}
    exec(blocks(containing), names)
    return names


@pytest.fixture
def quickstart(train_small, tmp_path, monkeypatch):
    """A small run where the pages look for the quickstart's."""
    monkeypatch.chdir(tmp_path)
    train_small(
        "--run_dir", "runs/quickstart", "--training.iterations", "1", "--policy.hidden_sizes", "[64, 64]"
    )


def test_every_block_is_tested():
    assert len(BLOCKS) == TEXT.count("```python") == 17


def test_the_readme_is_short():
    assert len(PAGES["README.md"].splitlines()) <= 200


def test_compare_finds_its_place_among_the_comparisons():
    check_markers(ROOT / "docs/comparisons.md")


def test_the_home_page_shows_the_readmes_tables():
    shown = PAGES["README.md"].split("## How they compare")[1].split("## Cite")[0]
    rows = [line for line in shown.splitlines() if line.startswith("|")]
    assert len(rows) >= 10
    assert rows == [line for line in PAGES["docs/index.md"].splitlines() if line.startswith("|")]
    assert set(rows) <= set(PAGES["docs/comparisons.md"].splitlines())


def test_the_tutorials_config_is_one(tmp_path):
    (config,) = re.findall(r"```yaml\n(.*?)```", PAGES["docs/tutorial.md"], re.DOTALL)
    (tmp_path / "mine.yaml").write_text(config)
    assert read_config(tmp_path / "mine.yaml").meta_learner_name == "promp"


def test_a_run_adapts_in_python(quickstart):
    names = run("evaluate_policy(adapted")
    assert names["action"].shape == (2,)
    assert np.isfinite([names["before"], names["after"], names["mean_return"]]).all()


def test_one_of_the_zoo_adapts_in_python():
    names = run('metarl.load("zoo/point')
    assert names["after"] > names["before"]


def test_a_step_knows_the_way_and_not_the_distance(capsys):
    """Whatever the processor rounds: the same step beyond all that was explored, the opposite one below."""
    run("step(velocity), farthest")
    slow, *_, fast, faster = (float(line.split()[-1]) for line in capsys.readouterr().out.splitlines())
    assert slow < -0.99
    assert min(fast, faster) > 0.999


def test_the_tutorials_policy_acts(quickstart):
    names = run("total + reward")
    assert np.isfinite([names["before"], names["after"], names["total"]]).all()


def test_a_run_is_evaluated_in_python(quickstart):
    assert run("keep_rollouts=True")["returns"].shape == (4, 40)


def test_an_observer_stops_training(tmp_path, monkeypatch, small_config_file):
    config, train = str(small_config_file), metarl.train
    monkeypatch.setattr(metarl, "train", lambda name, **options: train(config, quiet=True, **options))
    monkeypatch.chdir(tmp_path)
    run("stop_when_good")
    assert len((tmp_path / "runs/stopped/progress.csv").read_text().splitlines()) == 2


def test_a_network_acts_where_the_package_is_not(quickstart, tmp_path):
    adapted = run("to_torch(clipped=True)")["adapted"]
    program = (
        f"{blocks('network.load_state_dict')}\nimport sys\nprint('metarl' in sys.modules, *action.tolist())"
    )
    (tmp_path / "any file").touch()
    modes = {(tmp_path / name).stat().st_mode for name in ("network.safetensors", "any file")}
    assert len(modes) == 1
    command = [sys.executable, "-P", "-c", program]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    imported, *action = done.stdout.split()
    assert imported == "False"
    expected = adapted.predict(np.zeros(2), deterministic=True)[0]
    np.testing.assert_allclose(np.array(action, float), expected, rtol=1e-5)


def test_an_adapted_policy_goes_on_in_stable_baselines3(quickstart, train_small):
    names = run("to_sb3")
    start = ("--policy.start_from", "model.zip", "--run_dir", "again", "--training.iterations", "0")
    again = train_small(*start, "--policy.hidden_sizes", "[64, 64]").state.parameters
    learned = names["model"].policy.state_dict()
    torch.testing.assert_close(again["mean.bias"], learned["action_net.bias"])


def test_the_pendulum_of_varying_mass_is_trained_and_adapted(tmp_path, monkeypatch):
    page = PAGES["docs/how_to/own_environment.md"]
    (tmp_path / "pendulum.py").write_text(blocks("MassPendulum"))
    (config,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    monkeypatch.syspath_prepend(tmp_path)
    few = {
        "environment.horizon": 10,
        "sampling.tasks": 2,
        "sampling.episodes": 2,
        "training.iterations": 1,
        "training.evaluation_tasks": 3,
        "run_dir": str(tmp_path / "run"),
    }
    try:
        policy = metarl.train(yaml.safe_load(config), overrides=few, quiet=True)
        masses = policy.experiment.held_out_tasks(20, 0)["mass"]
        assert ((masses > 1.0) & (masses < 1.2)).all()
        env = gymnasium.make("MassPendulum-v0")
        assert np.isfinite(policy.adapt(env, task={"mass": 1.2}, episodes=2).returns).all()
        assert env.unwrapped.m == 1.2
    finally:
        gymnasium.registry.pop("MassPendulum-v0", None)
        sys.modules.pop("pendulum", None)


def test_adding_a_policy(train_small, small_config_file):
    values = yaml.safe_load(small_config_file.read_text())
    small_config_file.write_text(yaml.safe_dump({**values, "policy": LINEAR}))
    try:
        run("register_policy")
        parameters = train_small("--meta_learner.inner_steps", "2").state.parameters
        assert parameters["weight"].shape == (2, 2)
        assert parameters["weight"].abs().sum() > 0
    finally:
        POLICIES.pop("linear", None)


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
