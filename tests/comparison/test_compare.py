"""The script: same tasks and budget for all, nothing done twice, one table."""

import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

import metarl
from metarl.build import Experiment
from metarl.comparison.judgement import Protocol, judge
from metarl.training.checkpoint import CHECKPOINT, load_checkpoint
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
        "scratch": ({"name": "scratch", "num_envs": 2, "settings": {"n_steps": 4, "batch_size": 8}}, 5),
    }
    paths = []
    for name, (learner, iterations) in kinds.items():
        config = {**SMALL, "meta_learner": learner, "run_dir": "unused"}
        config["training"] = {**SMALL["training"], "iterations": iterations}
        paths.append(tmp_path / f"{name}.yaml")
        paths[-1].write_text(yaml.safe_dump(config))
    return paths


def command(configs, tmp_path, *options):
    counts = ["--seeds", 2, "--tasks", 3, "--episodes", 2, "--steps", 2, "--evaluate_every", 2]
    words = [*configs, "--budget", BUDGET, "--output", tmp_path / "out", *counts, *options]
    return [sys.executable, str(ROOT / "scripts/compare.py"), *map(str, words)]


def compare(configs, tmp_path, *options):
    return subprocess.run(command(configs, tmp_path, *options), capture_output=True, text=True, check=False)


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
    first = json.loads((folder / "scratch/seed_2/tasks/0000.json").read_text())
    experiment = metarl.load(folder / "maml/seed_1").experiment
    assert first["protocol"]["task"]["goal"] == experiment.held_out_tasks(3, 0)["goal"][0].tolist()
    assert first["environment_steps"][-1] == BUDGET // 2 // 8 * 8
    judged = [json.loads((folder / f"maml/seed_{seed}/comparison.json").read_text()) for seed in (1, 2)]
    expected = np.mean([np.mean(one["returns"][2]) for one in judged])
    assert float(rows["maml", 2]["mean_return"]) == pytest.approx(expected)
    steps = [load_checkpoint(folder / f"{name}/seed_1").environment_steps for name in ("maml", "reptile")]
    assert all(BUDGET <= count < BUDGET + 192 for count in steps)
    assert load_checkpoint(folder / "untrained/seed_1").environment_steps == 0
    kept = (CHECKPOINT, "comparison.json", "0000.json")
    files = sorted(path for path in folder.rglob("*") if path.name in kept)
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
    assert "expected environment options and horizon as in maml" in done.stderr
    twice = compare([configs[0], configs[0]], tmp_path)
    assert "expected configs of different names, got maml twice" in twice.stderr


def test_a_finished_run_does_not_serve_a_smaller_budget(configs, tmp_path):
    assert compare(configs[:1], tmp_path).returncode == 0
    smaller = compare(configs[:1], tmp_path, "--budget", 200)
    assert smaller.returncode == 2
    assert "expected a run of at most 200 environment steps" in smaller.stderr


def test_what_is_damaged_is_measured_again(configs, tmp_path):
    first = compare(configs[:1], tmp_path)
    kept = tmp_path / "out/PointNavigation/maml/seed_1/comparison.json"
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
        seen.append((tasks["goal"].tolist(), options))
        return evaluate(self, parameters, tasks, **options)

    for seed in (1, 2):
        train_small("--training.iterations", "1", "--seed", str(seed), "--run_dir", str(tmp_path / str(seed)))
    monkeypatch.setattr(Experiment, "evaluate", spy)
    protocol = Protocol(tasks=3, episodes=2, steps=1, seed=9, deterministic=True, later_step_scale=0.5)
    returns = [judge(tmp_path / str(seed), protocol) for seed in (1, 2)]
    assert seen[0] == seen[1]
    held_out = metarl.load(tmp_path / "1").experiment.held_out_tasks(3, 9)["goal"].tolist()
    assert seen[0][0] == held_out
    assert (seen[0][1]["deterministic"], seen[0][1]["episodes"], seen[0][1]["seed"]) == (True, 2, 9)
    assert not np.array_equal(*returns)
    np.testing.assert_array_equal(judge(tmp_path / "1", protocol), returns[0])
    assert len(seen) == 2
    shutil.copy(tmp_path / "2/policy.safetensors", tmp_path / "1/policy.safetensors")
    np.testing.assert_array_equal(judge(tmp_path / "1", protocol), returns[1])
