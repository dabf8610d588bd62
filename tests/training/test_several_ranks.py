"""Processes that share out the tasks learn what one process learns."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from metarl.math.parameters import flatten
from metarl.runs.checkpoint import load_checkpoint
from tests.support.rank_cases import BY_GRADIENT, CASES
from tests.support.warm_commands import start_ranks

ROOT = Path(__file__).parents[2]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node"]
WORDS = ["--training.iterations", "20", "--quiet", "--resume", "true"]


def run(*words, env=()):
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'envs'}", **dict(env)}
    command = [str(word) for word in words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=280, check=False)


EVERY_OUTER_STEP = ("maml_trpo", "maml_ppo", "reptile", "rl2", "varibad", "pearl")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(number of ranks, cases) -> the folder with their runs."""
    folders = {}

    def get(ranks, cases):
        if (ranks, cases) not in folders:
            folder = folders[ranks, cases] = tmp_path_factory.mktemp(f"ranks_{ranks}")
            start = [sys.executable] if ranks == 1 else [*TORCHRUN, ranks]
            done = run(*start, ROOT / "tests/support/rank_runs.py", folder, *cases)
            assert done.returncode == 0, done.stderr
        return folders[ranks, cases]

    return get


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("ranks", "cases"),
    [
        (2, EVERY_OUTER_STEP),
        *(pytest.param(n, tuple(CASES), marks=pytest.mark.slow, id=f"{n}") for n in (2, 3, 4)),
    ],
)
def test_any_number_of_ranks_learns_the_same(trained, ranks, cases):
    for name in cases:
        one, several = (load_checkpoint(trained(n, cases) / name) for n in (1, ranks))
        assert several.iteration == one.iteration == 3
        expected, found = (flatten(each.state.parameters) for each in (one, several))
        rounding = 0.0 if name in BY_GRADIENT else 1e-6
        assert (found - expected).norm() <= rounding * expected.norm(), name
        diaries = [np.load(trained(n, cases) / f"{name}.npz") for n in (1, ranks)]
        for key in diaries[0]:
            exact = name in BY_GRADIENT or key.startswith("goal") or key == "returns_0"
            far = 0.0 if exact else 1e-4
            np.testing.assert_allclose(*(diary[key] for diary in diaries), rtol=far, err_msg=f"{name} {key}")


def children(process):
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def wait_for_rows(path, rows, process):
    while not path.is_file() or len(path.read_text().splitlines()) <= rows:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)


@pytest.fixture
def whole(train_small, tmp_path):
    """The parameters of an undisturbed run."""
    return train_small("--training.iterations", "20", "--run_dir", str(tmp_path / "whole")).state.parameters


def killed(config, folder, restarts):
    """The exit code of two ranks, one of which is killed."""
    ranks = [*TORCHRUN, 2, "--max-restarts", restarts, "-m", "metarl", "train", config, *WORDS]
    command = [str(word) for word in (*ranks, "--run_dir", folder)]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'envs'}"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    wait_for_rows(folder / "progress.csv", 2, process)
    os.kill(children(process)[-1], signal.SIGKILL)
    process.communicate(timeout=120)
    return process.returncode


def check_ended_as(whole, folder):
    found = load_checkpoint(folder)
    assert found.iteration == 20
    for name, value in whole.items():
        assert torch.equal(found.state.parameters[name], value), name


@pytest.mark.slow
def test_a_killed_rank_ends_all_and_a_restart_goes_on(small_config_file, whole, tmp_path):
    assert killed(small_config_file, tmp_path / "run", 1) == 0
    check_ended_as(whole, tmp_path / "run")


@pytest.mark.slow
def test_after_a_killed_rank_another_number_goes_on(small_config_file, whole, tmp_path):
    assert killed(small_config_file, tmp_path / "run", 0) != 0
    assert 2 <= load_checkpoint(tmp_path / "run").iteration < 20
    done = run(
        sys.executable, "-m", "metarl", "train", small_config_file, *WORDS, "--run_dir", tmp_path / "run"
    )
    assert done.returncode == 0, done.stderr
    check_ended_as(whole, tmp_path / "run")


def test_a_stopped_rank_is_named_and_ends_the_others(small_config_file, tmp_path):
    """Without torchrun, whose own end would take half a minute: it waits so long for a stopped process."""
    words = [small_config_file, "--training.iterations", "1000", "--quiet", "--rank_seconds", "20"]
    progress = tmp_path / "run" / "progress.csv"
    with start_ranks(2, "train", *words, "--run_dir", tmp_path / "run") as (first, other):
        first.wait_until(lambda: progress.is_file() and len(progress.read_text().splitlines()) > 3)
        other.send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        assert first.wait(timeout=120) == 2, first.stderr
        told = first.stderr
    assert time.monotonic() - stopped < 60
    assert told.startswith("error: rank 0: expected a sign of life from rank 1, got none for 10 s")
    assert told.count("\n") == 1
    assert load_checkpoint(tmp_path / "run").iteration >= 2


def test_what_cannot_be_shared_out_is_told_in_a_line(small_config_file, tmp_path):
    words = ["--sampling.tasks", "1", "--run_dir", tmp_path / "run"]
    done = run(*TORCHRUN, 2, "-m", "metarl", "train", small_config_file, *words)
    told = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert told == ["error: sampling.tasks: expected one or more for each of 2 ranks, got 1"]
    assert not (tmp_path / "run").exists()
