"""Training on a foreign environment in processes of its own, also when one of them dies."""

import gc
import json
import multiprocessing
import sys
from contextlib import closing, nullcontext

import pytest
import torch

from metarl.commands import train
from metarl.errors import TrainingError
from metarl.experiment.build import build_experiment
from metarl.experiment.environments import make_envs
from metarl.runs.checkpoint import load_checkpoint
from metarl.runs.files import CHECKPOINT
from tests.support.warm_commands import ROOT, run_script

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


def foreign(tmp_path, folder="run", processes=2, mode="async", **options):
    """Overrides for two iterations; while a file "accident" is there, one happens in the second."""
    options = json.dumps({"file": str(tmp_path / "accident"), **options})
    settings = {
        "run_dir": tmp_path / folder,
        "environment.id": "tests.support.tiny_envs:tests/Mortal-v0",
        "environment.options": options,
        "environment.vectorization": mode,
        "training.iterations": 2,
    }
    if mode == "async":
        settings["sampling.num_threads"] = processes
    return [word for key, value in settings.items() for word in (f"--{key}", str(value))]


def parameters(folder):
    return load_checkpoint(folder).state.parameters


def same(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


def test_two_iterations_whatever_the_processes(train_small, tmp_path):
    for folder, processes, mode in (("one", 1, "async"), ("five", 5, "async"), ("sync", 0, "sync")):
        assert train_small(*foreign(tmp_path, folder, processes, mode)).iteration == 2
        assert multiprocessing.active_children() == []
    assert same(parameters(tmp_path / "one"), parameters(tmp_path / "five"))
    assert same(parameters(tmp_path / "one"), parameters(tmp_path / "sync"))


@pytest.mark.parametrize(
    ("accident", "message"),
    [("kill", "killed by SIGKILL"), ("raise", r"OverflowError: the belt is full \(tiny_envs\.py, line")],
)
def test_an_accident_in_the_second_iteration_costs_that_iteration_only(
    train_small, tmp_path, accident, message
):
    train_small(*foreign(tmp_path, "whole"))
    (tmp_path / "accident").write_text(accident)
    with pytest.raises(
        TrainingError, match=rf"Mortal-v0, iteration 1: .*{message}.*{CHECKPOINT} with --resume"
    ):
        train_small(*foreign(tmp_path))
    assert multiprocessing.active_children() == []
    assert load_checkpoint(tmp_path / "run").iteration == 1
    (tmp_path / "accident").unlink()
    assert train_small(*foreign(tmp_path), resume=True).iteration == 2
    assert same(parameters(tmp_path / "run"), parameters(tmp_path / "whole"))


def test_the_config_says_how_many_processes(small_config, tmp_path):
    with closing(make_envs(small_config(*foreign(tmp_path, processes=5)), 12)):
        assert len(multiprocessing.active_children()) == 4


@pytest.mark.parametrize("accident", [False, True])
def test_all_copies_are_closed_at_the_end(train_small, tmp_path, accident):
    diary = tmp_path / "diary"
    overrides = [*foreign(tmp_path, diary=str(diary)), "--training.evaluate_every", "1"]
    if accident:
        (tmp_path / "accident").write_text("raise")
    with pytest.raises(TrainingError) if accident else nullcontext():
        train_small(*overrides)
    gc.collect()
    opened, closed = (
        {line.split()[1] for line in diary.read_text().splitlines() if line.startswith(word)}
        for word in ("opened", "closed")
    )
    assert len(opened) > 3 * 2
    assert closed == opened


@pytest.mark.timeout(200)
def test_the_script_tells_in_one_line_ends_and_goes_on(small_config_file, tmp_path):
    words = ["--config", small_config_file, *foreign(tmp_path)]

    def trained(resume):
        environment = {"PYTHONPATH": str(ROOT)}
        return run_script("train", *words, "--resume", resume, env=environment, timeout=90)

    (tmp_path / "accident").write_text("kill")
    broken = trained("false")
    assert broken.returncode == 2
    assert "Traceback" not in broken.stderr
    errors = [line for line in broken.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "killed by SIGKILL; if memory ran out" in errors[0]
    assert f"go on from {tmp_path / 'run' / CHECKPOINT} with --resume true" in errors[0]
    (tmp_path / "accident").unlink()
    mended = trained("true")
    assert mended.returncode == 0, mended.stderr
    assert "Resumed at iteration 1 of 2" in mended.stdout


def test_a_failing_evaluation_loses_no_iteration(train_small, small_config, tmp_path):
    (tmp_path / "accident").write_text("raise")
    overrides = [
        *foreign(tmp_path, mode="sync"),
        "--training.iterations",
        "1",
        "--training.evaluation_steps",
        "2",
    ]
    with pytest.raises(TrainingError, match=r"Mortal-v0, evaluation after 1 iterations: .*the belt is full"):
        train_small(*overrides)
    assert load_checkpoint(tmp_path / "run").iteration == 1
    experiment = build_experiment(small_config(*overrides))
    with pytest.raises(TrainingError, match="the belt is full"):
        experiment.evaluate(
            parameters(tmp_path / "run"), experiment.held_out_tasks(2, 0), episodes=2, steps=2, seed=0
        )


def test_tasks_that_are_no_numbers_are_one_line(small_config_file, tmp_path, monkeypatch, capsys):
    words = ["--config", str(small_config_file), *foreign(tmp_path, mode="sync")]
    words += ["--environment.id", "tests.support.tiny_envs:tests/Worded-v0", "--environment.options", "{}"]
    monkeypatch.setattr(sys, "argv", ["train", *words, "--quiet"])
    assert train.main() == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith("error: environment.id: ")
    assert "task 'velocity': expected numbers or arrays of numbers of one shape, got 'fast'" in told
