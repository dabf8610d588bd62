"""`metarl.train` and `metarl.evaluate`: what the commands do, from Python."""

import doctest
import inspect

import numpy as np
import pytest
import torch
import yaml

import metarl
from metarl.errors import ConfigError, RunError
from metarl.runs.folder import hold_run_folder
from tests.conftest import SMALL

OF_PUBLIC = (
    metarl.train,
    metarl.train_from_scratch,
    metarl.train_supervised,
    metarl.evaluate,
    metarl.Observer,
)
ONE = {"training.iterations": 1}


@pytest.fixture
def sections(tmp_path):
    return {**SMALL, "run_dir": str(tmp_path / "run")}


def same(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


def test_the_docstrings_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for public in OF_PUBLIC:
        (example,) = doctest.DocTestFinder(recurse=False).find(public, public.__name__)
        assert example.examples
        assert doctest.DocTestRunner().run(example).failed == 0


def test_everything_listed_is_there_and_explained():
    for name in metarl.__all__:
        assert inspect.getdoc(getattr(metarl, name))


@pytest.mark.parametrize("overrides", [ONE, ["--training.iterations", "1"]])
@pytest.mark.parametrize("kind", ["path", "text", "dict"])
def test_a_config_is_a_path_or_a_dict_with_overrides(sections, tmp_path, train_small, kind, overrides):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(sections))
    config = {"path": tmp_path / "mine.yaml", "text": str(tmp_path / "mine.yaml"), "dict": sections}[kind]
    policy = metarl.train(config, overrides=overrides, quiet=True)
    assert same(policy.parameters, metarl.load(tmp_path / "run").parameters)
    again = train_small("--training.iterations", "1", "--run_dir", str(tmp_path / "again"))
    assert same(policy.parameters, again.state.parameters)
    assert sections["meta_learner"]["name"] == "maml"


def test_overrides_are_values_of_any_kind(sections):
    values = {
        "policy.hidden_sizes": [4],
        "environment.options": {"preset": "maml"},
        "policy.activation": "relu",
        "sampling.advantages.normalise": True,
    }
    config = metarl.train(sections, overrides={**ONE, **values}, quiet=True).experiment.config
    settings = config.policy.settings
    assert (settings["hidden_sizes"], settings["activation"]) == ((4,), "relu")
    assert config.environment.options == {"preset": "maml"}


def test_a_wrong_override_is_named(sections, tmp_path):
    with pytest.raises(ConfigError, match=r"training\.iterations: expected an integer"):
        metarl.train(sections, overrides={"training.iterations": "many"})
    assert not (tmp_path / "run").exists()


def test_it_keeps_the_guarantees_of_the_command(sections, tmp_path):
    with hold_run_folder(tmp_path / "run"), pytest.raises(RunError, match="another process trains"):
        metarl.train(sections, overrides=ONE)
    metarl.train(sections, overrides=ONE, quiet=True)
    with pytest.raises(RunError, match="already holds a run"):
        metarl.train(sections, overrides=ONE)
    resumed = metarl.train(sections, resume=True, quiet=True)
    whole = metarl.train(sections, overrides={"run_dir": tmp_path / "whole"}, quiet=True)
    assert same(resumed.parameters, whole.parameters)


def test_torchs_threads_are_left_as_they_were(sections):
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        metarl.evaluate(metarl.train(sections, overrides=ONE, quiet=True), tasks=1, episodes=1, steps=0)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_it_says_what_it_does_unless_it_is_quiet(sections, tmp_path, capsys):
    metarl.train(sections, overrides={"training.iterations": 2}, quiet=True)
    assert capsys.readouterr() == ("", "")
    metarl.train(sections, overrides={"training.iterations": 3, "training.table_every": 1}, resume=True)
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == f"metarl/PointNavigation-v0: maml on cpu, run folder {tmp_path / 'run'}"
    assert shown[1].startswith("Charts: tensorboard --logdir ")
    assert shown[2] == "Resumed at iteration 2 of 3."
    assert [line.split()[0] for line in shown[3:]] == ["iteration", "2"]


def test_evaluate_is_the_experiments_on_drawn_and_given_tasks(sections, tmp_path):
    policy = metarl.train(sections, overrides=ONE, quiet=True)
    experiment = policy.experiment
    drawn = experiment.held_out_tasks(3, 5)
    options = {"episodes": 4, "steps": 2, "seed": 5}
    expected = experiment.evaluate(policy.parameters, drawn, **options).curve
    listed = [{"goal": goal} for goal in drawn["goal"].tolist()]
    for who in (policy, tmp_path / "run", str(tmp_path / "run")):
        for tasks in (3, drawn, listed):
            curve = metarl.evaluate(who, tasks=tasks, **options).curve
            np.testing.assert_array_equal(curve.returns, expected.returns)
            np.testing.assert_array_equal(curve.tasks["goal"], drawn["goal"])
    still = metarl.evaluate(policy, tasks=3, deterministic=True, keep_rollouts=True, **options)
    assert not np.allclose(still.curve.returns, expected.returns)
    assert [rollout.rewards.shape[:2] for rollout in still.rollouts] == [(3, 4)] * 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": 0}, "expected tasks >= 1, got 0"),
        ({"tasks": []}, "at least one task"),
        ({"tasks": [{"goal": [9, 9]}]}, "goal.*expected a value in"),
        ({"episodes": 0}, "expected episodes >= 1, got 0"),
        ({"steps": -1}, "expected steps >= 0, got -1"),
    ],
)
def test_what_cannot_be_evaluated_is_told(sections, tmp_path, options, message):
    metarl.train(sections, overrides={"training.iterations": 0}, quiet=True)
    with pytest.raises(ValueError, match=message):
        metarl.evaluate(tmp_path / "run", **options)
