"""A run's checkpoint is written before its policy, and a resume without it tells apart what was lost."""

import os
import signal
from pathlib import Path

import pytest
import torch

import metarl
from metarl.errors import RunError
from metarl.runs.checkpoint import load_checkpoint
from metarl.runs.files import CHECKPOINT, POLICY
from tests.support.warm_commands import start_script


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def same(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize(
    ("lost", "found"),
    [
        ([CHECKPOINT], f"{POLICY} without it"),
        ([CHECKPOINT, POLICY, "evaluation", "held_out_task.json"], "4 iterations"),
    ],
)
def test_a_lost_checkpoint_is_told_and_nothing_overwritten(train_small, tmp_path, lost, found):
    train_small()
    for name in lost:
        (tmp_path / "run" / name).rename(tmp_path / name)
    before = contents(tmp_path / "run")
    with pytest.raises(RunError, match=rf"expected {CHECKPOINT} to resume from, found {found}.*--run_dir"):
        train_small("--training.iterations", "6", resume=True)
    assert contents(tmp_path / "run") == before


def test_a_run_killed_before_its_first_checkpoint_starts_again(train_small, small_config_file, tmp_path):
    seldom, killed = ("--training.checkpoint_every", "1000"), tmp_path / "killed"
    progress, words = killed / "progress.csv", ("--run_dir", str(killed), *seldom, "--training.iterations")
    with start_script("train", "--config", small_config_file, *words, 1000) as process:
        process.wait_until(lambda: progress.exists() and progress.read_text().count("\n") > 5)
    assert process.returncode == -signal.SIGKILL, "expected the run to be killed before its end"
    assert not (killed / CHECKPOINT).exists()
    assert not (killed / POLICY).exists()
    again = train_small(*words, "8", resume=True)
    whole = train_small("--run_dir", str(tmp_path / "whole"), *seldom, "--training.iterations", "8")
    assert same(again.state.parameters, whole.state.parameters)
    assert len(progress.read_text().splitlines()) == 9


def test_the_checkpoint_is_there_before_its_policy(train_small, tmp_path, monkeypatch):
    """So a policy without a checkpoint has lost it; a resume writes the policy again."""
    replace = os.replace

    def fail_at_the_policy(source, target):
        if Path(target).name == POLICY:
            raise OSError("disk full")
        replace(source, target)

    with monkeypatch.context() as patched:
        patched.setattr("os.replace", fail_at_the_policy)
        with pytest.raises(OSError, match="disk full"):
            train_small()
    assert not (tmp_path / "run" / POLICY).exists()
    done = load_checkpoint(tmp_path / "run")
    again = train_small("--training.iterations", str(done.iteration), resume=True)
    assert again.iteration == done.iteration >= 1
    assert same(metarl.load(tmp_path / "run").parameters, done.state.parameters)


def test_a_resume_makes_the_policy_that_of_the_checkpoint(train_small, tmp_path):
    train_small("--training.iterations", "1")
    earlier = (tmp_path / "run" / POLICY).read_bytes()
    last = train_small("--training.iterations", "2", resume=True)
    (tmp_path / "run" / POLICY).write_bytes(earlier)
    assert not same(metarl.load(tmp_path / "run").parameters, last.state.parameters)
    train_small("--training.iterations", "2", resume=True)
    assert same(metarl.load(tmp_path / "run").parameters, last.state.parameters)


@pytest.mark.parametrize("left", ["snapshots", "evaluation", "held_out_task.json"])
def test_what_comes_after_a_checkpoint_tells_that_it_was_lost(train_small, tmp_path, left):
    train_small("--training.snapshot_every", "100")
    run = tmp_path / "run"
    for name in (CHECKPOINT, POLICY, "progress.csv"):
        (run / name).unlink()
    for name in {"snapshots", "evaluation", "held_out_task.json"} - {left}:
        (run / name).rename(tmp_path / name)
    with pytest.raises(RunError, match=f"expected {CHECKPOINT} to resume from, found {left} without it"):
        train_small("--training.snapshot_every", "100", resume=True)


def test_a_run_without_its_table_goes_on(train_small, tmp_path):
    train_small("--training.iterations", "2")
    (tmp_path / "run" / "progress.csv").unlink()
    with pytest.warns(UserWarning, match="progress.csv: expected a row for each of 2 iterations, got 0"):
        assert train_small("--training.iterations", "3", resume=True).iteration == 3
