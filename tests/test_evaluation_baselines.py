"""Baselines that metarl evaluate finds beside a run by itself."""

import json
import sys

import pytest

import metarl
from metarl.commands import evaluate
from metarl.experiment.environments import DRAWN, EXISTING
from tests.conftest import SMALL

SECTIONS = {
    "environment": {"id": "metarl/PointNavigation-v0", "horizon": 6},
    "policy": {"hidden_sizes": [4]},
    "sampling": {"tasks": 2, "episodes": 2},
    "meta_learner": {"name": "maml", "inner_step_size": 0.1},
    "training": {**SMALL["training"], "iterations": 1},
}
CHANGES = {
    "mine/seed=4": {"seed": 4},
    "mine/seed=5": {"seed": 5},
    "larger": {"meta_learner.inner_step_size": 0.4},
    "untrained": {"training.iterations": 0},
    "elsewhere": {"training.iterations": 0, "environment.horizon": 5},
    "pooled/seed=1": {"meta_learner.name": "multi_task", "meta_learner.outer": "ppo"},
    "pooled/seed=2": {"meta_learner.name": "multi_task", "meta_learner.outer": "ppo", "seed": 2},
    "told": {"environment.options": {"observe_task": True}},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for name, overrides in CHANGES.items():
        own = {"seed": 1, **overrides, "run_dir": str(folder / name)}
        metarl.train({**SECTIONS, "run_dir": "unused"}, overrides=own, quiet=True)
    return folder


@pytest.fixture
def beside(runs, monkeypatch, capsys):
    """(words) -> exit code, what stands beside, with its seeds, and what was told."""

    def call(*words):
        given = [str(runs / word) if word in CHANGES else word for word in words]
        small = ["--tasks", "2", "--steps", "1", "--episodes", "2", "--quiet"]
        monkeypatch.setattr(sys, "argv", ["evaluate", given[0], *small, *given[1:]])
        before = {*runs.glob("**/evaluation/*")}
        code, told = evaluate.main(), capsys.readouterr()
        (folder,) = {*runs.glob("**/evaluation/*")} - before
        (found,) = json.loads((folder / "adaptation.json").read_text())["lists"].values()
        return code, {*found["beside"]}, told

    return call


def test_baselines_of_the_same_tasks_are_at_hand_and_other_runs_are_not(beside):
    for run in ("larger", "mine/seed=4"):
        code, names, told = beside(run)
        assert (code, names) == (0, {"untrained", "pooled", "told"})
        assert "pooled (2 seeds)" in told.out


def test_a_baseline_is_not_beside_itself(beside):
    _, names, _ = beside("untrained")
    assert names == {"pooled", "told"}


def test_none_leaves_them_out_and_names_replace_them(beside):
    assert beside("larger", "--beside", "none")[1] == set()
    assert beside("larger", "--beside", "mine/seed=4")[1] == {"mine"}


def test_one_that_cannot_be_measured_is_told_and_costs_nothing(runs, beside):
    (runs / "untrained" / "policy.safetensors").rename(runs / "kept")
    try:
        code, names, told = beside("larger")
    finally:
        (runs / "kept").rename(runs / "untrained" / "policy.safetensors")
    assert (code, names) == (0, {"pooled", "told"})
    assert "untrained is left out: " in told.err


def test_help_tells_every_name_that_evaluation_tasks_have(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["evaluate", "--help"])
    with pytest.raises(SystemExit):
        evaluate.main()
    told = " ".join(capsys.readouterr().out.split())
    assert all(f"called {name}" in told for name in (EXISTING, DRAWN))
