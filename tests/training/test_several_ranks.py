"""Processes that share out the tasks learn what one process learns, to the bit."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from metarl.runs.checkpoint import load_checkpoint
from tests.support.rank_cases import CASES

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
        for parameter, value in one.state.parameters.items():
            assert torch.equal(several.state.parameters[parameter], value), (name, parameter)
        diaries = [np.load(trained(n) / f"{name}.npz") for n in (1, ranks)]
        for key in diaries[0]:
            np.testing.assert_array_equal(*(diary[key] for diary in diaries), err_msg=f"{name} {key}")
