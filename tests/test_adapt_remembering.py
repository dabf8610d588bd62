"""metarl adapt of policies with memory: episodes in a row, measured on further trials."""

import csv
import sys

import numpy as np
import pytest
import yaml

import metarl
from metarl.commands import adapt, evaluate
from metarl.errors import RunError
from metarl.experiment.environments import make_env
from metarl.runs.run_config import load_run_config

ENV = "metarl/PointNavigation-v0"
TASK = '{"goal": [0.2, -0.1]}'
LEARNERS = {
    "rl2": {"policy": {"name": "gru", "hidden_size": 6, "head_sizes": [5], "initial_std": 0.5}},
    "varibad": {"policy": {"name": "belief", "hidden_size": 6, "head_sizes": [5], "initial_std": 0.5}},
    "pearl": {"policy": {"name": "posterior", "hidden_sizes": [8]}},
    "recurrent_sac": {"policy": {"name": "squashed_gru", "hidden_size": 6}},
}


@pytest.fixture
def trained(small_config_file, train_small, tmp_path):
    """(learner) -> a loaded run of an iteration."""

    def run(name="rl2"):
        values = yaml.safe_load(small_config_file.read_text())
        settings = {"name": name}
        if name in ("rl2", "varibad"):
            settings |= {"minibatches": 1, "epochs": 1}
        small_config_file.write_text(yaml.safe_dump({**values, "meta_learner": settings, **LEARNERS[name]}))
        train_small("--training.iterations", "1")
        return metarl.load(tmp_path / "run")

    return run


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """(*arguments) -> exit code, output, errors, rows of the table, and the adapted policy."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["adapt", *map(str, (tmp_path / "run", *arguments))])
        code, told = adapt.main(), capsys.readouterr()
        if code:
            return code, told.out, told.err, None, None
        (table,) = (tmp_path / "run" / "adaptation").glob("*/adaptation.csv")
        with table.open(newline="") as file:
            rows = list(csv.DictReader(file))
        return code, told.out, told.err, rows, metarl.load(table.parent / "adapted.safetensors")

    return run


def trials(rows):
    """Returns of the trials, [point, trial]."""
    return np.array([[float(row[name]) for name in row if name.startswith("trial_")] for row in rows])


@pytest.mark.parametrize("name", LEARNERS)
def test_further_trials_measure_what_every_episode_brings(trained, command, name):
    loaded = trained(name)
    _, out, _, rows, adapted = command("--task", TASK, "--episodes", 3, "--held_back", 5)
    assert [row["episodes_before"] for row in rows] == ["0", "1", "2", "3"]
    assert trials(rows).shape == (4, 5)
    goal = {"goal": np.array([[0.2, -0.1]])}
    found = loaded.experiment.evaluate(
        loaded.parameters, goal, episodes=1, steps=3, seed=0, trials=6, keep_rollouts=True
    )
    episodes = found.curve.episode_returns[:, 0]
    np.testing.assert_allclose(trials(rows), episodes[:, 1:], rtol=1e-6)
    np.testing.assert_allclose(adapted.returns, episodes[:, 0], rtol=1e-6)
    assert all(float(row["low_95"]) <= float(row["mean_return"]) for row in rows)
    assert "95 % interval" in out
    assert "Measured on 5 further trials (sign test)" in out
    assert "the first 3 episodes of its own" in out


def test_an_environment_of_ones_own_has_trials_too(trained, command, tmp_path):
    loaded = trained()
    words = ("--env", ENV, "--task", TASK, "--episodes", 2)
    env = make_env(load_run_config(tmp_path / "run"))
    _, _, _, rows, adapted = command(*words, "--held_back", 4)
    assert trials(rows).shape == (3, 4)
    assert len({*trials(rows).ravel()}) == 12
    expected = loaded.adapt(env, {"goal": [0.2, -0.1]}, episodes=1, steps=2, evaluation_episodes=1)
    assert adapted.returns == pytest.approx(expected.returns)
    for key, value in expected.carry.items():
        np.testing.assert_array_equal(adapted.carry[key], value)


def test_every_episode_has_a_verdict_and_all_of_them_one(trained, command):
    """By the episode, and by all; twenty trials, of training's episodes, where nothing else is asked for."""
    trained()
    _, out, _, rows, _ = command("--task", TASK)
    assert trials(rows).shape == (1 + (4 - 1), 20)
    table = [line for line in out.splitlines() if line.strip()[:1].isdigit()]
    verdicts = ("helped", "made it worse", "no clear change")
    assert not table[0].rstrip().endswith(verdicts)
    assert all(line.rstrip().endswith(verdicts) for line in table[1:4])
    assert "by 3 episodes." in out


def test_python_plays_as_many(trained, tmp_path):
    """Of training's four episodes in a row the last one is measured; a file alone does not know of them."""
    policy, env = trained(), make_env(load_run_config(tmp_path / "run"))
    assert len(policy.adapt(env, {"goal": [0.2, -0.1]}).returns) == 3 + 1
    assert len(policy.adapt(env, {"goal": [0.2, -0.1]}, episodes=2).returns) == 2 + 2
    alone = metarl.load(tmp_path / "run" / "policy.safetensors")
    with pytest.raises(RunError, match=r"^episodes: expected a number, since a file alone does not say"):
        alone.adapt(env)


def test_evaluations_are_by_single_episodes(trained, tmp_path, monkeypatch, capsys):
    policy = trained()
    curve = metarl.evaluate(policy, tasks=2, steps=1).curve
    assert (curve.trial_episodes, curve.points.at) == (1, [0, 1])
    monkeypatch.setattr(sys, "argv", ["evaluate", str(tmp_path / "run"), "--tasks", "2", "--quiet"])
    assert evaluate.main() == 0
    rows = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line[:1].isdigit()]
    assert rows[:4] == ["0", "1", "2", "3"]


def test_steps_are_refused(trained, command):
    trained()
    code, _, errors, *_ = command("--task", TASK, "--steps", 2)
    assert code == 2
    assert errors.strip().startswith("error: --steps: expected --episodes alone of GruPolicy")
