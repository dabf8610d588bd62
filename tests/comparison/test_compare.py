"""The script: same tasks and budget for all, nothing done twice, one table."""

import csv
import io
import json
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
import yaml
from filelock import FileLock

import metarl
from metarl.commands import compare as compare_script
from metarl.comparison.entries import make_entry
from metarl.comparison.judgement import Protocol, judge
from metarl.comparison.runs import run_entry
from metarl.experiment.build import Experiment, build_experiment
from metarl.runs.checkpoint import load_checkpoint, save_checkpoint
from metarl.runs.files import CHECKPOINT
from metarl.runs.run_config import config_digest
from metarl.training.run_training import Reporter, prepare_run, train_run
from tests.conftest import SMALL

ROOT = Path(__file__).parents[2]
BUDGET = 700


@pytest.fixture
def configs(tmp_path):
    """Small configs: MAML, Reptile, one that trains nothing, and one from scratch."""
    kinds = {
        "maml": ({"name": "maml"}, 5),
        "reptile": ({"name": "reptile", "inner_steps": 2}, 5),
        "untrained": ({"name": "maml"}, 0),
        "scratch": ({"name": "scratch", "num_envs": 2, "settings": {"n_steps": 16, "batch_size": 32}}, 5),
    }
    paths = []
    for name, (learner, iterations) in kinds.items():
        config = {**SMALL, "meta_learner": learner, "run_dir": "unused"}
        config["training"] = {**SMALL["training"], "iterations": iterations}
        paths.append(tmp_path / f"{name}.yaml")
        paths[-1].write_text(yaml.safe_dump(config))
    return paths


def command(configs, tmp_path, *options):
    counts = ["--seeds", 2, "--tasks", 3, "--episodes", 2, "--steps", 2, "--evaluations", 2]
    words = [*configs, "--budget", BUDGET, "--output", tmp_path / "out", *counts, *options]
    return [sys.executable, str(ROOT / "scripts/compare.py"), *map(str, words)]


def compare(configs, tmp_path, *options):
    """The script in this process: its exit code and what it printed."""
    out, err = io.StringIO(), io.StringIO()
    handler, threads = signal.getsignal(signal.SIGTERM), torch.get_num_threads()
    words = command(configs, tmp_path, *options)[1:]
    try:
        with patch.object(sys, "argv", words), redirect_stdout(out), redirect_stderr(err):
            code = compare_script.main()
    finally:
        signal.signal(signal.SIGTERM, handler)
        torch.set_num_threads(threads)
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def judged_file(run_dir):
    (path,) = (run_dir / "judged").iterdir()
    return path


def test_a_table_of_all_and_nothing_is_done_twice(configs, tmp_path):
    readme = tmp_path / "README.md"
    start, end = "<!-- comparison: written by scripts/compare.py -->", "<!-- end of comparison -->"
    readme.write_text(f"before\n{start}\nold\n{end}\nafter\n")
    done = compare(configs, tmp_path, "--into", readme)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "out/PointNavigation"
    table = folder.with_suffix(".md").read_text()
    assert table in done.stdout
    assert readme.read_text() == f"before\n{start}\n\n{table}\n{end}\nafter\n"
    assert all(
        f"| {name} |" in table for name in ("maml", "reptile", "untrained", "scratch (2 of the tasks)")
    )
    assert folder.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"
    with folder.with_suffix(".csv").open(newline="") as file:
        rows = {(row["algorithm"], int(row["inner_steps"])): row for row in csv.DictReader(file)}
    assert len(rows) == 4 * 3
    assert {name: row["tasks"] for (name, _), row in rows.items()} == {
        "maml": "3",
        "reptile": "3",
        "untrained": "3",
        "scratch": "2",
    }
    first = json.loads(next((folder / "scratch/seed_2/tasks").glob("0000-*")).read_text())
    experiment = metarl.load(folder / "maml/seed_1").experiment
    assert first["protocol"]["task"]["goal"] == experiment.held_out_tasks(3, 0)["goal"][0].tolist()
    assert first["environment_steps"][-1] == BUDGET // 2 // 32 * 32
    judged = [json.loads(judged_file(folder / f"maml/seed_{seed}").read_text()) for seed in (1, 2)]
    expected = np.mean([np.mean(list(one["returns"].values())[-1][2]) for one in judged])
    assert float(rows["maml", 2]["mean_return"]) == pytest.approx(expected)
    assert [len(one["returns"]) for one in judged] == [3, 3]  # at the start, half-way and at the end
    steps = [load_checkpoint(folder / f"{name}/seed_1").environment_steps for name in ("maml", "reptile")]
    assert all(BUDGET <= count < BUDGET + 192 for count in steps)
    assert load_checkpoint(folder / "untrained/seed_1").environment_steps == 0
    kept = (CHECKPOINT, "tasks", "judged")
    files = sorted(path for path in folder.rglob("*") if {path.name, path.parent.name} & {*kept})
    before = {path: path.stat().st_mtime_ns for path in files}
    again = compare(configs, tmp_path)
    assert again.returncode == 0, again.stderr
    assert {path: path.stat().st_mtime_ns for path in files} == before
    assert table in again.stdout


def test_stopped_it_goes_on_to_the_same_table(configs, tmp_path):
    whole = compare(configs[:2], tmp_path, "--output", tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    process = subprocess.Popen(
        command(configs[:2], tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    first = tmp_path / "out/PointNavigation/maml/seed_1" / CHECKPOINT
    while process.poll() is None and not first.exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    resumed = compare(configs[:2], tmp_path)
    assert resumed.returncode == 0, resumed.stderr

    def returns(folder):
        with (tmp_path / folder / "PointNavigation.csv").open(newline="") as file:
            return [(row["algorithm"], row["mean_return"], row["low_95"]) for row in csv.DictReader(file)]

    assert returns("out") == returns("whole")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--budget", "many"], "--budget: expected a whole number of environment steps for PointNavigation"),
        (["--budget", "AntDir=100"], "for PointNavigation, got nothing"),
        (["--budget", "PointNavigation=100", "Pointnavigation=9"], "environments among ['PointNavigation']"),
        (["--into", "CONFIG"], "--into: expected a file with the line"),
    ],
)
def test_bad_input_is_one_line(configs, tmp_path, options, message):
    filled = [configs[0] if word == "CONFIG" else word for word in options]
    done = compare(configs, tmp_path, *filled)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_configs_of_other_tasks_are_not_compared(configs, tmp_path):
    other = yaml.safe_load(configs[1].read_text())
    other["environment"]["horizon"] = 9
    configs[1].write_text(yaml.safe_dump(other))
    done = compare(configs, tmp_path)
    assert done.returncode == 2
    assert "environment.horizon: expected 8, got 9, to be compared with maml" in done.stderr
    other["environment"]["horizon"] = 8
    other["sampling"]["tasks"] = 5
    configs[1].write_text(yaml.safe_dump(other))
    done = compare([configs[3], configs[2], configs[0], configs[1]], tmp_path)
    assert done.returncode == 2
    assert "sampling.tasks: expected 3, got 5, to be compared with maml" in done.stderr
    twice = compare([configs[0], configs[0]], tmp_path)
    assert "expected configs of different names, got maml twice" in twice.stderr


def test_a_finished_run_does_not_serve_a_smaller_budget(configs, tmp_path):
    assert compare(configs[:1], tmp_path).returncode == 0
    smaller = compare(configs[:1], tmp_path, "--budget", 200)
    assert smaller.returncode == 2
    assert "maml, seed 1: " in smaller.stderr
    assert "expected a run that ends once 200 environment steps are taken" in smaller.stderr
    assert "compare.py keeps its runs in --output" in smaller.stderr
    untrained = yaml.safe_load(configs[0].read_text())
    untrained["training"]["iterations"] = 0
    configs[0].write_text(yaml.safe_dump(untrained))
    done = compare(configs[:1], tmp_path)
    assert done.returncode == 2
    assert "expected a policy without training, got one of 4 iterations" in done.stderr


def test_another_protocol_and_a_larger_budget_go_on(configs, tmp_path):
    """What was measured for another protocol is kept, and not taken for this one."""

    def columns(done):
        assert done.returncode == 0, done.stderr
        with (tmp_path / "out/PointNavigation.csv").open(newline="") as file:
            kept = ("algorithm", "inner_steps", "mean_return", "low_95", "environment_steps")
            return [[row[name] for name in kept] for row in csv.DictReader(file)]

    two = [configs[0], configs[3]]
    first = columns(compare(two, tmp_path))
    for options in (["--episodes", 3], ["--deterministic"]):
        other = columns(compare(two, tmp_path, *options))
        assert [row[0] for row in other if row not in first] != []
    assert columns(compare(two, tmp_path)) == first
    larger = columns(compare(two, tmp_path, "--budget", 1000))
    assert all(float(row[-1]) >= 1000 for row in larger if row[0] == "maml")


def test_costs_of_a_run_with_too_few_policies_are_bounds(configs, tmp_path):
    few = compare(configs[:1], tmp_path, "--evaluations", 1, "--target", -1000)
    assert "| 0 | 0.0 s |" in few.stdout
    many = compare(configs[:1], tmp_path, "--evaluations", 9, "--target", -1000)
    assert "| at most 0 | at most 0.0 s |" in many.stdout


def test_what_cannot_be_built_is_told_before_anything_is_trained(configs, tmp_path):
    bad = yaml.safe_load(configs[3].read_text())
    bad["meta_learner"]["settings"]["clip_range"] = "wide"
    configs[3].write_text(yaml.safe_dump(bad))
    done = compare([configs[0], configs[3]], tmp_path)
    assert done.returncode == 2
    assert "error: scratch: meta_learner.settings: expected what PPO takes" in done.stderr
    missing = yaml.safe_load(configs[1].read_text())
    missing["policy"]["start_from"] = str(tmp_path / "nothing.zip")
    configs[1].write_text(yaml.safe_dump(missing))
    done = compare(configs[:2], tmp_path)
    assert done.returncode == 2
    assert "error: reptile: policy.start_from" in done.stderr
    assert not (tmp_path / "out/PointNavigation").exists()


def test_a_run_that_breaks_down_is_named_and_the_others_go_on(configs, tmp_path):
    wild = yaml.safe_load(configs[0].read_text())
    wild["meta_learner"]["inner_step_size"] = 1e300
    configs[0].write_text(yaml.safe_dump(wild))
    done = compare(configs[:2], tmp_path)
    assert done.returncode == 1, done.stderr
    table = (tmp_path / "out/PointNavigation.md").read_text()
    assert "\n- maml, seed 1 broke down: metarl/PointNavigation-v0, task " in table
    assert "\n- maml, seed 2 broke down: " in table
    assert "| reptile |" in table
    assert "| maml |" not in table
    assert "error: 2 runs broke down" in done.stderr
    alone = compare(configs[:1], tmp_path)
    assert alone.returncode == 1
    assert "out: nothing" in alone.stdout
    assert not (tmp_path / "out/PointNavigation.md").exists()
    assert "Traceback" not in alone.stderr
    assert "maml, seed 2 broke down" in alone.stdout


def test_two_at_once_in_one_folder_are_kept_apart(configs, tmp_path):
    (tmp_path / "out").mkdir()
    with FileLock(tmp_path / "out/.lock"):
        done = compare(configs[:1], tmp_path)
    assert done.returncode == 2
    assert "where another compare.py is at work" in done.stderr


def test_an_oracle_is_compared_with_those_that_are_not_told(configs, tmp_path):
    told = yaml.safe_load(configs[0].read_text())
    told["meta_learner"] = {"name": "multi_task"}
    told["environment"]["options"]["observe_task"] = True
    (tmp_path / "oracle.yaml").write_text(yaml.safe_dump(told))
    done = compare([configs[0], tmp_path / "oracle.yaml"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "| oracle |" in done.stdout


def test_lost_rows_of_a_run_are_told(configs, tmp_path):
    assert compare(configs[:1], tmp_path).returncode == 0
    progress = tmp_path / "out/PointNavigation/maml/seed_2/progress.csv"
    progress.write_text("".join(progress.read_text().splitlines(keepends=True)[:2]))
    done = compare(configs[:1], tmp_path)
    assert done.returncode == 2
    assert "progress.csv: expected a row for each of 4 iterations, got 1; delete" in done.stderr


def test_from_scratch_is_measured_by_the_protocol(configs, tmp_path):
    protocol = Protocol(tasks=3, episodes=5, steps=4, deterministic=True)
    entry = make_entry(configs[3], 1, 100, tmp_path, protocol, 10)
    config = entry.config
    assert config.meta_learner.deterministic is True
    assert (config.training.evaluation_episodes, config.training.evaluation_steps) == (5, 4)
    assert make_entry(configs[3], 1, 100, tmp_path, Protocol(), 10).config.meta_learner.deterministic is False
    counts = [make_entry(configs[3], 1, 10**6, tmp_path, Protocol(tasks=n), 10).config for n in (1, 2, 3)]
    assert [one.training.evaluation_tasks for one in counts] == [1, 2, 2]
    assert [one.meta_learner.environment_steps for one in counts] == [400_000, 800_000, 800_000]
    silent = Reporter(lambda line: None, lambda metrics: None)
    result = run_entry(entry, protocol, silent, lambda steps: None, lambda *done: None)
    assert (result.returns.shape, result.per_task) == ((5, 2), True)
    outcomes = [json.loads(path.read_text()) for path in Path(config.run_dir).glob("tasks/*")]
    assert result.seconds == pytest.approx(np.mean([one["seconds"][-1] for one in outcomes]))
    assert result.environment_steps == outcomes[0]["environment_steps"][-1]
    curve = np.mean([one["returns"] for one in outcomes], axis=0)
    np.testing.assert_allclose(result.learning.returns, curve)


def test_few_tasks_are_strata(tmp_path):
    config = {**SMALL, "meta_learner": {"name": "maml"}, "run_dir": "unused"}
    config["environment"] = {"id": "metarl/HalfCheetahDir-v0", "horizon": 3}
    config["training"] = {"iterations": 0}
    (tmp_path / "two.yaml").write_text(yaml.safe_dump(config))
    silent = Reporter(lambda line: None, lambda metrics: None)
    for tasks, expected in ((4, [0, 1, 0, 1]), (2, [0, 1]), (1, None)):
        protocol = Protocol(tasks=tasks, episodes=2, steps=1)
        entry = make_entry(tmp_path / "two.yaml", 1, 10, tmp_path, protocol, 1)
        found = run_entry(entry, protocol, silent, lambda steps: None, lambda *done: None).strata
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


def test_all_seeds_are_judged_on_the_protocols_tasks(train_small, tmp_path, monkeypatch):
    seen = []
    evaluate = Experiment.evaluate

    def spy(self, parameters, tasks, **options):
        seen.append((tasks["goal"].tolist(), {key: options[key] for key in options if key != "where"}))
        return evaluate(self, parameters, tasks, **options)

    for seed in (1, 2):
        train_small("--training.iterations", "1", "--seed", str(seed), "--run_dir", str(tmp_path / str(seed)))
    monkeypatch.setattr(Experiment, "evaluate", spy)
    protocol = Protocol(tasks=3, episodes=2, steps=1, seed=9, deterministic=True, later_step_scale=0.5)
    returns = [judge(tmp_path / str(seed), protocol)[-1].returns for seed in (1, 2)]
    assert seen[0] == seen[1]
    held_out = metarl.load(tmp_path / "1").experiment.held_out_tasks(3, 9)["goal"].tolist()
    assert seen[0][0] == held_out
    assert (seen[0][1]["deterministic"], seen[0][1]["episodes"], seen[0][1]["seed"]) == (True, 2, 9)
    assert not np.array_equal(*returns)
    np.testing.assert_array_equal(judge(tmp_path / "1", protocol)[-1].returns, returns[0])
    assert len(seen) == 2
    other = load_checkpoint(tmp_path / "2")
    save_checkpoint(tmp_path / "1", replace(other, config_digest=config_digest(tmp_path / "1")))
    np.testing.assert_array_equal(judge(tmp_path / "1", protocol)[-1].returns, returns[1])
    assert len(seen) == 3
    others = [
        replace(protocol, **changed) for changed in ({"episodes": 3}, {"deterministic": False}, {"seed": 8})
    ]
    for _ in range(2):
        for other in (*others, replace(protocol, later_step_scale=None), protocol):
            judge(tmp_path / "1", other)
    assert len(seen) == 3 + 4
    with monkeypatch.context() as patched:
        patched.setattr("metarl.comparison.judgement.VERSION", "another")
        judge(tmp_path / "1", protocol)
    assert len(seen) == 8
    monkeypatch.setattr(Experiment, "held_out_tasks", lambda *given: {"goal": np.full((3, 2), 0.1)})
    judge(tmp_path / "1", protocol)
    assert len(seen) == 9


def test_the_learning_curve_is_that_of_the_policies_kept_by_the_one_evaluator(configs, tmp_path):
    """The one at the start, those that cross a multiple of the budget's third, and the last."""
    protocol = Protocol(tasks=3, episodes=2, steps=2, seed=4, later_step_scale=0.5)
    entry = make_entry(configs[0], 1, BUDGET, tmp_path, protocol, 3)
    silent = Reporter(lambda line: None, lambda metrics: None)
    counted = []
    result = run_entry(entry, protocol, silent, lambda steps: None, lambda *done: counted.append(done))
    run_dir = tmp_path / "maml/seed_1"
    with (run_dir / "progress.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    steps = [0.0, *(float(row["rollout/environment_steps"]) for row in rows)]
    seconds = np.cumsum([0.0, *(float(row["time/iteration_seconds"]) for row in rows)])
    every = -(-BUDGET // 3)
    crossed = [0] + [i for i in range(1, len(steps)) if steps[i - 1] // every < steps[i] // every]
    kept = sorted({*crossed, len(rows)})
    assert len(kept) == 4
    assert counted == [(i, 4) for i in range(4)]
    assert result.learning.environment_steps.tolist() == [steps[i] for i in kept]
    np.testing.assert_allclose(result.learning.seconds, seconds[kept])
    policy = metarl.load(run_dir, later_step_scale=0.5)
    tasks = policy.experiment.held_out_tasks(3, 4)
    again = {}
    for i in (kept[1], len(rows)):
        whole = make_entry(configs[0], 1, int(steps[i]), tmp_path / f"{i}", protocol, 3)
        parameters = load_checkpoint(trained(whole, silent)).state.parameters
        curve, _ = policy.experiment.evaluate(parameters, tasks, episodes=2, steps=2, seed=4)
        again[i] = curve.returns
    assert result.learning.returns[1] == pytest.approx(again[kept[1]][2].mean())
    assert result.learning.returns[-1] == pytest.approx(again[len(rows)][2].mean())
    np.testing.assert_allclose(result.returns, again[len(rows)])


def trained(entry, reporter):
    """The folder of an entry's run, trained."""
    experiment = build_experiment(entry.config)
    train_run(experiment, prepare_run(entry.config, True, experiment), reporter)
    return Path(entry.config.run_dir)
