"""What learning from scratch found is kept, a file a task: restarts, other protocols, damage."""

import json

import numpy as np
import pytest
from stable_baselines3 import PPO

import metarl
from metarl.errors import ConfigError, RunError, TrainingError
from metarl.experiment.environments import held_out_tasks
from metarl.from_scratch.training import learn_tasks, run_from_scratch
from tests.from_scratch.conftest import kept
from tests.support.warm_commands import run_script


def test_an_interrupt_loses_one_task_and_repeats_no_other(config, tmp_path, monkeypatch):
    whole = run_from_scratch(config("--run_dir", str(tmp_path / "whole")), False)
    learn = PPO.learn

    def interrupted(model, *arguments, **settings):
        if (tmp_path / "run/tasks").exists():
            raise KeyboardInterrupt
        return learn(model, *arguments, **settings)

    with monkeypatch.context() as patched:
        patched.setattr(PPO, "learn", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_from_scratch(config(), False)
    assert kept(tmp_path / "run") == ["0000"]
    first = written(tmp_path / "run")
    np.testing.assert_array_equal(run_from_scratch(config(), True).returns, whole.returns)
    all_three = written(tmp_path / "run")
    assert first.items() <= all_three.items()
    monkeypatch.setattr(PPO, "learn", None)
    np.testing.assert_array_equal(run_from_scratch(config(), True).returns, whole.returns)
    assert written(tmp_path / "run") == all_three


def written(folder):
    """When each task's file of results was written, by its name."""
    return {path.name: path.stat().st_mtime_ns for path in (folder / "tasks").iterdir()}


def test_a_run_is_gone_on_with_and_not_overwritten(config):
    run_from_scratch(config(), False)
    with pytest.raises(RunError, match="already holds a run"):
        run_from_scratch(config(), False)
    with pytest.raises(RunError, match=r"from_scratch.settings.n_steps: expected 4"):
        run_from_scratch(config("--from_scratch.settings.n_steps", "5"), True)


@pytest.mark.parametrize(
    "change",
    [
        ["--training.evaluation_episodes", "3"],
        ["--training.evaluation_steps", "2"],
        ["--from_scratch.environment_steps", "600"],
        ["--from_scratch.evaluation_interval", "30"],
        ["--from_scratch.deterministic", "true"],
    ],
)
def test_results_of_another_protocol_are_learned_and_the_old_ones_kept(config, tmp_path, monkeypatch, change):
    first = run_from_scratch(config(), False)
    fresh = run_from_scratch(config("--run_dir", str(tmp_path / "fresh"), *change), False)
    changed = run_from_scratch(config(*change), True)
    np.testing.assert_array_equal(changed.returns, fresh.returns)
    assert kept(tmp_path / "run") == ["0000", "0000", "0001", "0001", "0002", "0002"]
    monkeypatch.setattr(PPO, "learn", None)
    np.testing.assert_array_equal(run_from_scratch(config(), True).returns, first.returns)


def test_results_are_those_of_a_task_and_damage_is_told(config, tmp_path):
    run_from_scratch(config(), False)
    protocol = {"steps": 3, "episodes": 2, "environment_steps_per_task": 100, "run_dir": tmp_path / "run"}
    tasks = held_out_tasks(config(), 4, 3)
    assert learn_tasks(config(), tasks, **protocol).returns.shape == (7, 4)
    assert kept(tmp_path / "run") == ["0000", "0001", "0002", "0003"]
    exchanged = {"goal": tasks["goal"][[1, 0]]}
    learn_tasks(config(), exchanged, **protocol)
    assert kept(tmp_path / "run") == ["0000", "0000", "0001", "0001", "0002", "0003"]
    next((tmp_path / "run/tasks").glob("0003*")).write_text("{")
    with pytest.raises(RunError, match=r"0003-.*\.json: expected the results of a task, found a damaged fi"):
        learn_tasks(config(), tasks, **protocol)


def test_learning_that_breaks_down_names_the_task(config, tmp_path):
    wild = config("--from_scratch.settings.learning_rate", "1e30")
    with pytest.raises(
        TrainingError, match=r'PointNavigation-v0, task {"goal": .*before \d+ .*learning_rate'
    ):
        run_from_scratch(wild, False)


def test_it_leaves_no_policy_to_load_and_says_so(config, tmp_path):
    run_from_scratch(config(), False)
    with pytest.raises(ConfigError, match=r"got from_scratch, which .* no policy that adapts.*run/tasks"):
        metarl.load(tmp_path / "run")


def test_the_table_by_inner_steps_is_kept(config, tmp_path):
    result = run_from_scratch(config(), resume=False)
    (folder,) = (tmp_path / "run" / "evaluation").iterdir()
    summary = json.loads((folder / "adaptation.json").read_text())["lists"]["held-out"]
    assert summary["mean_return"] == result.curve.mean.tolist()
    assert len((folder / "adaptation.csv").read_text().splitlines()) == 1 + 3


@pytest.mark.parametrize(("change", "tables"), [([], 1), (["--training.evaluation_episodes", "3"], 2)])
def test_a_resume_writes_no_table_twice(config, tmp_path, change, tables):
    run_from_scratch(config(), resume=False)
    run_from_scratch(config(*change), resume=True)
    assert len([*(tmp_path / "run" / "evaluation").iterdir()]) == tables


def test_train_py_runs_and_resumes_it(config_file, tmp_path):
    first = run_script("train", "--config", config_file)
    assert first.returncode == 0, first.stderr
    assert "ppo from scratch on 3 tasks" in first.stdout
    rows = [line.split() for line in first.stdout.splitlines() if line.strip()[:1].isdigit()]
    assert [row[0] for row in rows] == ["0", "1", "2", "3", "0", "12", "24", "36", "48", "72", "96"]
    assert [row[1] for row in rows[:4]] == [rows[4 + k][2] for k in (0, 1, 2, 4)]
    next((tmp_path / "run/tasks").glob("0002-*.json")).unlink()
    again = run_script("train", "--config", config_file, "--resume", "true")
    assert again.returncode == 0, again.stderr
    one, other = (
        done.stdout.split("inner steps   mean")[1].partition("environment steps")[0]
        for done in (first, again)
    )
    assert one == other
