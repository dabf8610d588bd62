import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import metarl
from metarl.rollouts.random_keys import TASKS
from metarl.runs.run_config import load_run_config
from tests.support.warm_commands import ROOT, run_script


def written(done):
    """The folder that a script says its results are in."""
    return Path(re.search(r"^Written to (.*):$", done.stdout, re.MULTILINE)[1])


def table(folder):
    with (folder / "adaptation.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_adapt_prints_logs_and_saves(run_dir, tmp_path):
    task = '{"goal": [0.1, 0.2]}'
    for _ in range(2):
        done = run_script(
            "adapt", run_dir, "--task", task, "--episodes", 4, "--steps", 3, "--save", tmp_path / "a"
        )
        assert done.returncode == 0, done.stderr
    printed = [line.split() for line in done.stdout.splitlines() if line.strip()[:1].isdigit()]
    curves = sorted((run_dir / "adaptation").iterdir())
    assert [path.name for path in curves] == ["goal=0.1,0.2", "goal=0.1,0.2_2"]
    assert str(curves[1] / "adaptation.csv") in done.stdout
    with (curves[1] / "adaptation.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    assert list(written[0]) == [
        "step",
        "mean_return",
        "low_95",
        "high_95",
        *(f"episode_{i}" for i in range(4)),
    ]
    assert [f"{float(row['mean_return']):.2f}" for row in written] == [row[1] for row in printed]
    episodes = np.array([float(written[3][f"episode_{i}"]) for i in range(4)])
    half = 3.18245 * episodes.std(ddof=1) / 2  # Student's t, 3 degrees of freedom
    found = [float(written[3][name]) for name in ("step", "mean_return", "low_95", "high_95")]
    assert found == pytest.approx([3, episodes.mean(), episodes.mean() - half, episodes.mean() + half])
    events = EventAccumulator(str(curves[0]))
    events.Reload()
    (picture,) = events.Images("adaptation/adaptation_curve")
    assert picture.encoded_image_string == (curves[0] / "adaptation.png").read_bytes()
    assert picture.step == 3
    metarl.load(tmp_path / "a")


def test_evaluate_writes_table_summary_and_picture(run_dir):
    done = run_script("evaluate", run_dir, "--tasks", 5, "--steps", 2, "--episodes", 3)
    assert done.returncode == 0, done.stderr
    folder = written(done)
    summary = json.loads((folder / "adaptation.json").read_text())["lists"]["held-out"]
    rows = table(folder)
    assert list(rows[0]) == [
        "tasks",
        "goal_0",
        "goal_1",
        *(f"return_after_{k}_steps" for k in range(3)),
    ]
    assert len(rows) == summary["tasks"] == 5
    for step in range(3):
        mean = sum(float(row[f"return_after_{step}_steps"]) for row in rows) / 5
        assert summary["mean_return"][step] == pytest.approx(mean)
    assert (folder / "adaptation.png").read_bytes()[:4] == b"\x89PNG"


def test_evaluate_takes_lists_of_tasks(run_dir, tmp_path):
    """Held-out tasks, those of training, ones beyond the range, and a file's; measured as asked."""
    (tmp_path / "mine.json").write_text('[{"goal": [0.1, 0.2]}, {"goal": [-0.3, 0.4]}]')
    lists = ["held-out", "training", "out-of-distribution", tmp_path / "mine.json"]
    options = ["--deterministic", "--later_step_scale", 0.5, "--scale", 2]
    counts = ["--tasks", 4, "--steps", 1, "--episodes", 2]
    done = run_script("evaluate", run_dir, "--on", *lists, *options, *counts)
    assert done.returncode == 0, done.stderr
    rows = table(written(done))
    goals = {row["tasks"]: [] for row in rows}
    for row in rows:
        goals[row["tasks"]].append([float(row["goal_0"]), float(row["goal_1"])])
    assert {name: len(found) for name, found in goals.items()} == {
        "held-out": 4,
        "training": 4,
        "out-of-distribution": 4,
        "mine": 2,
    }
    assert goals["mine"] == [[0.1, 0.2], [-0.3, 0.4]]
    drawn = np.random.default_rng([load_run_config(run_dir).seed, 0, TASKS])
    first = metarl.load(run_dir).experiment.task_distribution.sample(3, drawn)["goal"]
    assert goals["training"][:3] == first.tolist()
    assert all(max(map(abs, goal)) > 0.5 for goal in goals["out-of-distribution"])
    assert all(max(map(abs, goal)) <= 0.5 for goal in goals["held-out"])
    protocol = json.loads((written(done) / "adaptation.json").read_text())["protocol"]
    assert protocol["deterministic"] is True
    assert protocol["later_step_scale"] == 0.5


def test_evaluate_takes_no_list_twice(run_dir, tmp_path):
    (tmp_path / "training.json").write_text('[{"goal": [0.1, 0.2]}]')
    done = run_script("evaluate", run_dir, "--on", "training", tmp_path / "training.json")
    assert done.returncode == 2
    assert "--on: expected lists of different names, got training " in done.stderr


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("train", ["--config", "nothing.yaml"], "expected a config file, got nothing.yaml"),
        (
            "train",
            ["--config", "configs/quickstart.yaml", "--sampling.x", "1"],
            "sampling.x: no such key; did you mean sampling? expected one of",
        ),
        ("train", ["--config", "configs/quickstart.yaml", "--training.device", "cuda:9"], "training.device"),
        (
            "train",
            ["--config", "configs/quickstart.yaml", "--meta_learner.inner_steps", "0"],
            "meta_learner.inner_steps: expected an integer > 0, got '0'",
        ),
        (
            "train",
            ["--config", "configs/point_navigation/promp.yaml", "--meta_learner.outer", "trpo"],
            "meta_learner.outer: expected one of ['ppo'], got 'trpo'",
        ),
        ("adapt", ["nowhere", "--task", "{}"], "expected a run folder"),
        ("adapt", ["RUN", "--task", '{"goal": [9, 9]}'], "expected a value in"),
        ("adapt", ["RUN", "--task", '{"gaol": [0, 0]}'], "expected a task with keys ['goal']"),
        ("adapt", ["RUN", "--task", "goal"], "expected JSON"),
        ("evaluate", ["nowhere"], "expected a run folder"),
        (
            "evaluate",
            ["RUN", "--on", "dreams"],
            "--on dreams: expected held-out, training, out-of-distribution or",
        ),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(run_dir, name, arguments, message):
    filled = [str(run_dir) if word == "RUN" else word for word in arguments]
    filled = [str(ROOT / word) if word.startswith("configs/") else word for word in filled]
    done = run_script(name, *filled)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert message in errors[0]


def test_help_shows_the_keys_of_the_configs_algorithm():
    config = ["--config", ROOT / "configs/point_navigation/promp.yaml"]
    shown = run_script("train", *config, "--help").stdout
    assert "--meta_learner.kl_penalty" in shown
    assert "--meta_learner.context_size" not in shown
    assert (
        "--meta_learner.context_size"
        in run_script("train", *config, "--meta_learner.name=cavia", "-h").stdout
    )
    wrong = run_script("train", *config, "--meta_learner.name", "cavai", "--help")
    assert wrong.returncode == 2
    assert "meta_learner.name: expected one of" in wrong.stderr


@pytest.mark.parametrize("name", ["train", "adapt", "evaluate", "benchmark", "render", "compare", "sinusoid"])
def test_help(name):
    done = run_script(name, "--help")
    assert done.returncode == 0
    assert "--" in done.stdout
