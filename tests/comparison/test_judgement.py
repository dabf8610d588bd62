"""One protocol judges every policy of a comparison: same tasks and episodes, measured once."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

import metarl
from metarl.comparison.entries import make_entry
from metarl.comparison.judgement import Protocol, judge
from metarl.comparison.runs import run_entry
from metarl.experiment.build import Experiment, build_experiment
from metarl.runs.checkpoint import load_checkpoint, save_checkpoint
from metarl.runs.run_config import config_digest
from metarl.training.run_start import prepare_run
from metarl.training.run_training import train_run
from tests.comparison.conftest import BUDGET, compare, judged_file
from tests.conftest import SMALL


def test_from_scratch_is_measured_by_the_protocol(configs, tmp_path):
    protocol = Protocol(tasks=3, episodes=5, steps=4, deterministic=True)
    entry = make_entry(configs[3], 1, 100, tmp_path, protocol, 10)
    config = entry.config
    assert config.from_scratch.deterministic is True
    assert (config.training.evaluation_episodes, config.training.evaluation_steps) == (5, 4)
    assert make_entry(configs[3], 1, 100, tmp_path, Protocol(), 10).config.from_scratch.deterministic is False
    counts = [make_entry(configs[3], 1, 10**6, tmp_path, Protocol(tasks=n), 10).config for n in (1, 2, 3)]
    assert [one.training.evaluation_tasks for one in counts] == [1, 2, 2]
    assert [one.from_scratch.environment_steps for one in counts] == [400_000, 800_000, 800_000]
    result = run_entry(entry, protocol, (), lambda steps: None, lambda *done: None)
    assert (result.returns.shape, result.per_task) == ((5, 2), True)
    outcomes = [json.loads(path.read_text()) for path in Path(config.run_dir).glob("tasks/*")]
    assert result.seconds == pytest.approx(np.mean([one["seconds"][-1] for one in outcomes]))
    assert result.environment_steps == outcomes[0]["environment_steps"][-1]
    curve = np.mean([one["returns"] for one in outcomes], axis=0)
    np.testing.assert_allclose(result.learning.after, curve)


def test_few_tasks_are_strata(tmp_path):
    config = {**SMALL, "meta_learner": {"name": "maml"}, "run_dir": "unused"}
    config["environment"] = {"id": "metarl/HalfCheetahDir-v0", "horizon": 3}
    config["training"] = {"iterations": 0}
    (tmp_path / "two.yaml").write_text(yaml.safe_dump(config))
    for tasks, expected in ((4, [0, 1, 0, 1]), (2, [0, 1]), (1, None)):
        protocol = Protocol(tasks=tasks, episodes=2, steps=1)
        entry = make_entry(tmp_path / "two.yaml", 1, 10, tmp_path, protocol, 1)
        found = run_entry(entry, protocol, (), lambda steps: None, lambda *done: None).strata
        assert expected is found or expected == found.tolist()


def test_what_is_damaged_is_measured_again(configs, tmp_path):
    first = compare(configs[:1], tmp_path)
    kept = judged_file(tmp_path / "out/PointNavigation/maml/seed_1")
    kept.write_text("{")
    again = compare(configs[:1], tmp_path)
    assert again.returncode == 0, again.stderr
    table = (tmp_path / "out/PointNavigation.md").read_text()
    assert table in first.stdout
    assert table in again.stdout


PROTOCOL = Protocol(tasks=3, episodes=2, steps=1, seed=9, deterministic=True, later_step_scale=0.5)


@pytest.fixture
def two_seeds(train_small, tmp_path):
    """The folders of two runs that differ in their seed."""
    folders = [tmp_path / "1", tmp_path / "2"]
    for folder in folders:
        train_small("--training.iterations", "1", "--seed", folder.name, "--run_dir", str(folder))
    return folders


def test_all_seeds_are_judged_on_the_protocols_tasks(two_seeds):
    policies = [metarl.load(folder, later_step_scale=0.5) for folder in two_seeds]
    tasks = [policy.experiment.held_out_tasks(3, 9) for policy in policies]
    np.testing.assert_array_equal(tasks[0]["goal"], tasks[1]["goal"])
    judged = [judge(folder, PROTOCOL)[-1].returns for folder in two_seeds]
    for policy, returns in zip(policies, judged, strict=True):
        found = policy.experiment.evaluate(
            policy.parameters, tasks[0], episodes=2, steps=1, seed=9, deterministic=True
        )
        np.testing.assert_array_equal(returns, found.curve.returns)
    assert not np.array_equal(*judged)


def test_a_policy_is_measured_once_per_protocol_tasks_and_version(two_seeds, monkeypatch):
    run, other = two_seeds
    judge(run, PROTOCOL)
    mark(judged_file(run))

    def known(protocol=PROTOCOL):
        return (judge(run, protocol)[-1].returns == MARK).all()

    assert known()
    for changed in ({"episodes": 3}, {"deterministic": False}, {"seed": 8}, {"later_step_scale": None}):
        assert not known(replace(PROTOCOL, **changed))
    with monkeypatch.context() as patched:
        patched.setattr("metarl.comparison.judgement.VERSION", "another")
        assert not known()
    with monkeypatch.context() as patched:
        patched.setattr(Experiment, "held_out_tasks", lambda *given: {"goal": np.full((3, 2), 0.1)})
        assert not known()
    assert known()
    exchanged = replace(load_checkpoint(other), config_digest=config_digest(run))
    save_checkpoint(run, exchanged)
    np.testing.assert_array_equal(judge(run, PROTOCOL)[-1].returns, judge(other, PROTOCOL)[-1].returns)


MARK = 12345.0


def mark(path):
    """Writes a return that no episode has over all that a file of results knows."""
    kept = json.loads(path.read_text())
    kept["returns"] = {name: np.full_like(found, MARK).tolist() for name, found in kept["returns"].items()}
    path.write_text(json.dumps(kept))


def test_the_learning_curve_is_that_of_the_policies_kept_by_the_one_evaluator(configs, tmp_path):
    """The one at the start, those that cross a multiple of the budget's third, and the last."""
    protocol = Protocol(tasks=3, episodes=2, steps=2, seed=4, later_step_scale=0.5)
    entry = make_entry(configs[0], 1, BUDGET, tmp_path, protocol, 3)
    told = []
    result = run_entry(entry, protocol, (), lambda steps: None, lambda *done: told.append(done))
    run_dir = tmp_path / "maml/seed_1"
    with (run_dir / "progress.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    steps = [0.0, *(float(row["rollout/environment_steps"]) for row in rows)]
    seconds = np.cumsum([0.0, *(float(row["time/iteration_seconds"]) for row in rows)])
    every = -(-BUDGET // 3)
    crossed = [0] + [i for i in range(1, len(steps)) if steps[i - 1] // every < steps[i] // every]
    kept = sorted({*crossed, len(rows)})
    assert len(kept) == 4
    assert told == [(i, 4) for i in range(4)]
    assert result.learning.environment_steps.tolist() == [steps[i] for i in kept]
    np.testing.assert_allclose(result.learning.seconds, seconds[kept])
    policy = metarl.load(run_dir, later_step_scale=0.5)
    tasks = policy.experiment.held_out_tasks(3, 4)
    again = {}
    for i in (kept[1], len(rows)):
        whole = make_entry(configs[0], 1, int(steps[i]), tmp_path / f"{i}", protocol, 3)
        parameters = load_checkpoint(trained(whole)).state.parameters
        curve = policy.experiment.evaluate(parameters, tasks, episodes=2, steps=2, seed=4).curve
        again[i] = curve.returns
    assert result.learning.returns[1] == pytest.approx(again[kept[1]].mean(1))
    assert result.learning.returns[-1] == pytest.approx(again[len(rows)].mean(1))
    np.testing.assert_allclose(result.returns, again[len(rows)])


def trained(entry):
    """The folder of an entry's run, trained."""
    experiment = build_experiment(entry.config)
    train_run(experiment, prepare_run(entry.config, True, experiment))
    return Path(entry.config.run_dir)
