"""metarl evaluate: several seeds, episodes used, baselines beside, protocols, and what its files hold."""

import csv
import json
import re
import sys

import numpy as np
import pytest

import metarl
from metarl.commands import evaluate
from metarl.commands.protocols import PROTOCOLS
from metarl.experiment.config import read_config
from metarl.from_scratch.training import run_from_scratch
from metarl.runs.tables import task_text
from tests.conftest import SMALL

SECTIONS = {
    "environment": {"id": "metarl/PointNavigation-v0", "horizon": 6},
    "policy": {"hidden_sizes": [4]},
    "sampling": {"tasks": 3, "episodes": 4},
    "meta_learner": {"name": "maml", "inner_step_size": 0.1},
    "training": {**SMALL["training"], "iterations": 1},
}
FEW = ("--tasks", 3, "--steps", 2, "--episodes", 4, "--quiet", "--beside", "none")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Seeds 4 and 7 of MAML, one of another step size, and a random initialisation, by their names."""
    folder = tmp_path_factory.mktemp("runs")
    changes = {
        "one": {"seed": 4},
        "two": {"seed": 7},
        "larger": {"seed": 1, "meta_learner.inner_step_size": 0.4},
        "untrained": {"seed": 1, "training.iterations": 0},
        "line": {"seed": 1, "environment.id": "metarl/HalfCheetahDir-v0"},
    }
    for name, overrides in changes.items():
        own = {**overrides, "run_dir": str(folder / name)}
        metarl.train({**SECTIONS, "run_dir": "unused"}, overrides=own, quiet=True)
    return folder


@pytest.fixture
def run(runs, monkeypatch, capsys):
    """(names of runs and words) -> exit code, what was printed and told, and the folder of results."""

    def call(*words):
        places = [runs / word if (runs / str(word)).is_dir() else word for word in words]
        monkeypatch.setattr(sys, "argv", ["evaluate", *map(str, places)])
        before = {*runs.glob("*/evaluation/*")}
        code, told = evaluate.main(), capsys.readouterr()
        made = {*runs.glob("*/evaluation/*")} - before
        return code, told.out, told.err, made.pop() if made else None

    return call


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_several_runs_of_one_config_are_seeds_of_one_result(runs, run):
    code, out, _, folder = run("one", "two", *FEW)
    assert code == 0
    assert folder.parent == runs / "one" / "evaluation"
    table = rows(folder / "adaptation.csv")
    assert [row["seed"] for row in table] == ["4"] * 3 + ["7"] * 3
    shown = [
        line.split("|")[2].strip()
        for line in (folder / "adaptation.md").read_text().splitlines()
        if line.startswith("| goal [")
    ]
    assert shown == ["4"] * 3 + ["7"] * 3
    curves = [
        metarl.evaluate(runs / name, tasks=3, steps=2, episodes=4, seed=0).curve for name in ("one", "two")
    ]
    found = np.array([[float(row[f"return_after_{k}_steps"]) for row in table] for k in range(3)])
    np.testing.assert_allclose(found, np.concatenate([curve.returns for curve in curves], axis=1), rtol=1e-6)
    summary = json.loads((folder / "adaptation.json").read_text())["lists"]["held-out"]
    assert (summary["seeds"], summary["tasks"]) == (2, 3)
    np.testing.assert_allclose(summary["mean_return"], found.mean(1), rtol=1e-6)
    assert all(
        low <= mean <= high
        for low, mean, high in zip(*(summary[k] for k in ("low_95", "mean_return", "high_95")), strict=True)
    )
    assert f"{found[2].mean():.2f}" in out


def test_runs_of_several_configs_are_no_seeds(run):
    code, _, err, folder = run("one", "larger", *FEW)
    assert (code, folder) == (2, None)
    assert "meta_learner.inner_step_size: expected 0.1, got 0.4; runs to compare go to --beside" in err


def test_runs_of_one_seed_are_no_seeds(run):
    """An interval over seeds would take the same run twice for another."""
    code, _, err, folder = run("one", "one", *FEW)
    assert (code, folder) == (2, None)
    assert "expected a run with another seed than" in err
    assert "got 4 twice" in err


def test_episodes_used_measure_on_as_many_episodes_for_every_number(runs, run):
    code, out, _, folder = run("one", *FEW, "--episodes_used", 1, 3)
    assert code == 0
    policy = metarl.load(runs / "one")
    tasks = policy.experiment.held_out_tasks(3, 0)
    means = rows(folder / "means.csv")
    assert len(means) == 3 * 3
    for number in (1, 3):
        curve = policy.experiment.evaluate(
            policy.parameters, tasks, episodes=number, steps=2, seed=0, held_back=4
        ).curve
        found = [float(row["mean_return"]) for row in means if row["episodes_a_step"] == str(number)]
        np.testing.assert_allclose(found, curve.mean, rtol=1e-6)
    used = [line.split() for line in out.splitlines() if line.startswith(("1 ", "3 "))][-2:]
    assert [line[:2] for line in used] == [["1", "2"], ["3", "6"]]
    assert {"episodes_used.png", "episodes_used.svg"} <= {path.name for path in folder.iterdir()}


def test_baselines_stand_beside_on_the_same_tasks(runs, run):
    code, out, _, folder = run("one", *FEW, "--beside", "untrained", "larger")
    assert code == 0
    beside = json.loads((folder / "adaptation.json").read_text())["lists"]["held-out"]["beside"]
    for name in ("untrained", "larger"):
        curve = metarl.evaluate(runs / name, tasks=3, steps=2, episodes=4, seed=0).curve
        np.testing.assert_allclose(beside[name]["mean_return"], curve.mean, rtol=1e-6)
        assert any(line.startswith(name) for line in out.splitlines())
    assert (folder / "beside.svg").read_text().startswith("<?xml")


def test_a_run_of_another_length_is_no_seed(run):
    code, _, err, _ = run("two", "untrained", *FEW)
    assert code == 2
    assert "training.iterations: expected 1, got 0" in err
    _, _, _, folder = run("larger", *FEW, "--beside", "two", "untrained")
    beside = json.loads((folder / "adaptation.json").read_text())["lists"]["held-out"]["beside"]
    assert set(beside) == {"two", "untrained"}


def test_a_list_without_an_interval_has_no_columns_for_it(run):
    words = ("--steps", 1, "--episodes", 2, "--quiet", "--beside", "none")
    _, _, _, folder = run("line", "--tasks", 2, *words)
    assert "low_95" not in rows(folder / "means.csv")[0]
    _, _, _, folder = run("line", "--tasks", 4, *words)
    assert all(row["low_95"] for row in rows(folder / "means.csv"))


def test_intervals_beside_are_as_those_of_the_evaluated_run(run):
    """Of all tasks that exist, their differences widen neither."""
    _, _, _, folder = run("line", "--tasks", 4, "--steps", 1, "--episodes", 2, "--quiet", "--beside", "line")
    found = json.loads((folder / "adaptation.json").read_text())["lists"]["existing"]
    for key in ("mean_return", "low_95", "high_95"):
        assert found["beside"]["line"][key] == found[key]


def test_a_baseline_of_other_tasks_is_refused(run):
    code, _, err, folder = run("one", *FEW, "--beside", "line")
    assert (code, folder) == (2, None)
    assert "expected a run of the same tasks; environment.id: expected metarl/PointNavigation-v0" in err


def learn_from_scratch(folder):
    """Results on the first 2 of the held-out tasks, of 4 episodes at every inner step's worth."""
    training = {"evaluation_tasks": 2, "evaluation_episodes": 4, "evaluation_steps": 2}
    settings = {"n_steps": 8, "batch_size": 8, "n_epochs": 1}
    config = read_config(
        {
            "seed": 0,
            "environment": SECTIONS["environment"],
            "policy": SECTIONS["policy"],
            "training": training,
            "from_scratch": {
                "algorithm": "ppo",
                "environment_steps": 96,
                "num_envs": 1,
                "settings": settings,
            },
            "run_dir": str(folder),
        }
    )
    return run_from_scratch(config, resume=True)


def test_results_from_scratch_are_read_and_none_is_learned(runs, run):
    learned = learn_from_scratch(runs / "scratch")
    before = sorted((runs / "scratch").rglob("*"))
    code, out, _, folder = run("one", *FEW, "--beside", "scratch")
    assert code == 0
    found = json.loads((folder / "adaptation.json").read_text())["lists"]["held-out"]["beside"]["scratch"]
    assert found["tasks"] == 2
    np.testing.assert_allclose(found["mean_return"], learned.curve.mean)
    assert "scratch (2 of the tasks)" in out
    assert sorted((runs / "scratch").rglob("*")) == before


def test_a_baseline_without_results_costs_itself_alone(runs, run):
    learn_from_scratch(runs / "scratch")
    words = ("--tasks", 3, "--steps", 1, "--episodes", 8, "--quiet")
    code, _, err, folder = run("one", *words, "--beside", "scratch", "untrained")
    assert code == 2
    assert "--beside scratch: " in err
    assert "expected results of learning these tasks, on 8 episodes" in err
    beside = json.loads((folder / "adaptation.json").read_text())["lists"]["held-out"]["beside"]
    assert [*beside] == ["untrained"]


FAMILIES = {
    "brake": ({"id": "tests.user_package.family:metarl/BrakeAt-v0", "horizon": 5}, "place"),
    "drift": ({"id": "tests.support.tiny_envs:tests/Drift-v0", "horizon": 5}, "velocity"),
}


@pytest.mark.parametrize("kind", FAMILIES)
def test_tasks_of_a_file_are_those_of_a_users_own_family_or_environment(kind, runs, run, tmp_path):
    environment, name = FAMILIES[kind]
    folder, path = tmp_path / "run", tmp_path / "mine.json"
    metarl.train({**SECTIONS, "environment": environment, "run_dir": str(folder)}, quiet=True)
    path.write_text(json.dumps([{name: 0.25}, {name: -0.5}]))
    words = (folder, "--trust", "--on", path, *FEW)
    code, out, _, _ = run(*words)
    assert code == 0
    assert "Return on 2 tasks of mine.json" in out
    table = max(folder.glob("evaluation/*/adaptation.csv"))
    found = [float(row[name]) for row in rows(table) if row["tasks"] == "mine"]
    assert found == [0.25, -0.5]
    for wrong in ([{name: 0.25}, {"speed": 1.0}], [{name: 0.25}, {name: [1.0, 2.0]}], {name: 0.25}):
        path.write_text(json.dumps(wrong))
        code, _, err, _ = run(*words)
        assert (code, err.count("\n")) == (2, 1)
        assert f"error: --on {path}: " in err


def test_figures_by_task_are_drawn_for_every_list(run):
    """Those of TensorBoard; ways are of a family that has places, speeds of one that is paid by them."""
    _, _, _, folder = run("one", "two", *FEW, "--on", "held-out", "training")
    drawn = {path.name for path in folder.iterdir()}
    for name in ("gains", "return_by_task", "trajectories"):
        for title in ("held-out", "training"):
            assert {f"{title}_{name}.png", f"{title}_{name}.svg"} <= drawn
    _, _, _, folder = run("line", *FEW)
    assert {"existing_gains.svg", "existing_speed.svg"} <= {path.name for path in folder.iterdir()}


def test_what_is_not_held_out_is_not_called_so(run):
    _, out, _, folder = run("line", *FEW)
    assert "Return on its 2 tasks, 1 or 2 times each, by number" in out
    texts = [out, *(path.read_text() for path in folder.iterdir() if path.suffix in (".csv", ".json", ".md"))]
    assert not any("held-out" in text for text in texts)
    assert {row["tasks"] for row in rows(folder / "adaptation.csv")} == {"existing"}
    _, out, *_ = run("one", *FEW, "--on", "training", "held-out")
    assert "Return on 3 training tasks" in out
    assert "Return on 3 held-out tasks" in out


def test_a_protocol_sets_what_the_command_line_leaves_out(run, monkeypatch):
    monkeypatch.setitem(PROTOCOLS, "finn2017", {**PROTOCOLS["finn2017"], "tasks": 2})
    code, _, _, folder = run("one", "--protocol", "finn2017", "--episodes", 3, "--quiet")
    assert code == 0
    found = json.loads((folder / "adaptation.json").read_text())
    assert found["lists"]["held-out"]["tasks"] == 2
    assert len(found["lists"]["held-out"]["mean_return"]) == 4
    protocol = found["protocol"]
    assert (protocol["protocol"], protocol["episodes"], protocol["later_step_scale"]) == ("finn2017", 3, 0.5)


def test_the_report_says_how_to_measure_again_in_words_of_the_command_line(run):
    _, _, _, folder = run("one", *FEW, "--deterministic", "--episodes_used", 1, 3)
    (words,) = re.findall("Measured with `(.*)`", (folder / "adaptation.md").read_text())
    _, _, _, again = run("one", "--tasks", 3, *words.split(), "--beside", "none")
    for name in ("adaptation.md", "means.csv"):
        assert (again / name).read_bytes() == (folder / name).read_bytes()
    assert words.endswith("--seed 0 --deterministic --episodes_used 1 3")


def test_the_report_says_how_far_beyond_where_such_tasks_were_measured(run):
    _, _, _, folder = run("one", *FEW, "--on", "out-of-distribution", "--scale", 2)
    assert re.findall("Measured with `.* --scale (.*)`", (folder / "adaptation.md").read_text()) == ["2.0"]


def test_the_report_has_every_task_and_numbers_for_a_person(run):
    _, out, _, folder = run("one", *FEW)
    report = (folder / "adaptation.md").read_text()
    lines = [line for line in report.splitlines() if line.startswith("| goal [")]
    assert len(lines) == 3
    table = rows(folder / "adaptation.csv")
    for line, row in zip(lines, table, strict=True):
        before, after = float(row["return_after_0_steps"]), float(row["return_after_2_steps"])
        goal = task_text({"goal": [float(row["goal_0"]), float(row["goal_1"])]})
        assert line.startswith(f"| {goal} | {before:.2f} | {after:.2f} | {after - before:.2f} |")
    (gain,) = [line for line in out.splitlines() if line.startswith("Gain of all steps: ")]
    assert gain in report.splitlines()
    assert "|" not in out
    assert "4 episodes are too few to make it of any of 3 tasks: --episodes 6." in out
    assert {path.suffix for path in folder.iterdir()} == {".csv", ".json", ".md", ".png", ".svg"}
