"""A run that is killed and resumed again and again holds no more at its end than after its warm-up."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GROWING = ("progress.csv", "events")
MOST_KILOBYTES = 8_000
"""That a process may grow by: what its allocator keeps goes up and down by about as much."""


def by_place(sizes):
    """Sizes by name, without the time in an evaluation's folder."""
    return {"/".join(name.split("/")[:1] + name.split("/")[2:]): size for name, size in sizes.items()}


@pytest.mark.parametrize(
    ("iterations", "kills"),
    [(60, 1), pytest.param(10_000, 20, marks=[pytest.mark.slow, pytest.mark.timeout(7200)])],
)
def test_files_threads_processes_and_memory_stay_as_they_are(iterations, kills):
    command = [sys.executable, "-m", "tests.support.soaked_run", str(iterations), str(kills), "0"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'envs'}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["legs"]
    for leg in found["legs"]:
        warm, end = leg["warm"], leg["end"]
        for held in ("files", "threads", "processes"):
            assert end[held] == warm[held], f"{held}: {leg}"
        assert end["kilobytes"] < warm["kilobytes"] + MOST_KILOBYTES, leg
    assert found["rows"] == 1 + iterations
    short, long = by_place(found["short"]), by_place(found["long"])
    assert short.keys() == long.keys()
    for name, size in long.items():
        if name in GROWING:
            assert size > short[name]
        else:
            assert abs(size - short[name]) < 200, name
