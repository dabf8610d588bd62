"""A training that is killed again and again ends where an undisturbed one does, bit for bit."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("kills", [2, pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(7200)])])
def test_killed_runs_go_on_to_the_same_parameters(kills):
    command = [sys.executable, "-m", "tests.support.killed_runs", str(kills), "0"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'envs'}"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert ast.literal_eval(done.stdout)["kills"] >= kills
