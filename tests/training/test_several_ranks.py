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

ROOT = Path(__file__).parents[2]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node"]


def run(*words, env=()):
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'envs'}", **dict(env)}
    command = [str(word) for word in words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=280, check=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(number of ranks) -> the folder with the runs of all cases."""
    folders = {}

    def get(ranks):
        if ranks not in folders:
            folder = folders[ranks] = tmp_path_factory.mktemp(f"ranks_{ranks}")
            start = [sys.executable] if ranks == 1 else [*TORCHRUN, ranks]
            done = run(*start, ROOT / "tests/support/rank_runs.py", folder, *CASES)
            assert done.returncode == 0, done.stderr
        return folders[ranks]

    return get


@pytest.mark.timeout(600)
@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_any_number_of_ranks_learns_the_same(trained, ranks):
    for name in CASES:
        one, several = (load_checkpoint(trained(n) / name) for n in (1, ranks))
        assert several.iteration == one.iteration == 3
        expected, found = (flatten(each.state.parameters) for each in (one, several))
        rounding = 0.0 if name in BY_GRADIENT else 1e-6
        assert (found - expected).norm() <= rounding * expected.norm(), name
        diaries = [np.load(trained(n) / f"{name}.npz") for n in (1, ranks)]
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


@pytest.mark.timeout(280)
def test_a_killed_rank_ends_all_and_any_number_of_ranks_goes_on(small_config_file, tmp_path):
    words = [small_config_file, "--training.iterations", "40", "--quiet", "--resume", "true"]
    folder = tmp_path / "run"
    start = [*TORCHRUN, 2, "-m", "metarl", "train", *words, "--run_dir", folder]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'envs'}"}
    process = subprocess.Popen(list(map(str, start)), env=environment, stderr=subprocess.PIPE, text=True)
    wait_for_rows(folder / "progress.csv", 2, process)
    os.kill(children(process)[-1], signal.SIGKILL)
    killed = time.monotonic()
    process.communicate(timeout=120)
    assert process.returncode != 0
    assert time.monotonic() - killed < 60
    kept = load_checkpoint(folder).iteration
    assert 2 <= kept < 40
    done = run(sys.executable, "-m", "metarl", "train", *words, "--run_dir", folder)
    assert done.returncode == 0, done.stderr
    whole = run(sys.executable, "-m", "metarl", "train", *words, "--run_dir", tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    found, expected = (load_checkpoint(each) for each in (folder, tmp_path / "whole"))
    assert found.iteration == expected.iteration == 40
    for name, value in expected.state.parameters.items():
        assert torch.equal(found.state.parameters[name], value), name


def test_what_cannot_be_shared_out_is_told_in_a_line(small_config_file, tmp_path):
    words = ["--sampling.tasks", "1", "--run_dir", tmp_path / "run"]
    done = run(*TORCHRUN, 2, "-m", "metarl", "train", small_config_file, *words)
    told = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert told == ["error: sampling.tasks: expected one or more for each of 2 ranks, got 1"]
    assert not (tmp_path / "run").exists()
