"""What every learner learns stays what it was, to the last bit."""

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests/golden/learning.json"


def numbers(run):
    return {name: np.asarray(values) for name, values in run.items() if name != "digest"}


def difference(found, expected):
    """The largest relative difference of a run's recorded numbers, and where it is."""
    found, expected = numbers(found), numbers(expected)
    if {n: v.shape for n, v in found.items()} != {n: v.shape for n, v in expected.items()}:
        return "other numbers are recorded"
    worst = {n: np.max(np.abs(found[n] - v) / np.maximum(np.abs(v), 1e-12)) for n, v in expected.items()}
    name = max(worst, key=lambda n: worst[n])
    return f"{worst[name]:.1e} relative in {name}"


def quick(name):
    """Every learner through two inner steps, by a trust region if it can, and one on MuJoCo."""
    by_adam = " ppo" in name and not name.startswith(("maml ", "maml_pp ", "promp "))
    others = ("resumed", "adapted", "maml trpo, HalfCheetahDir")
    return ("K = 2" in name and not by_adam) or name in others


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("chosen", [quick, pytest.param(lambda name: True, id="all", marks=pytest.mark.slow)])
def test_every_learner_learns_what_it_learned(tmp_path, chosen):
    golden = json.loads(GOLDEN.read_text())
    here = {name: version(name) for name in golden["libraries"]}
    if here != golden["libraries"]:
        pytest.skip(f"digests are of {golden['libraries']}, not of {here}")
    output = tmp_path / "learning.json"
    expected = {name: run for name, run in golden["runs"].items() if chosen(name)}
    command = [sys.executable, str(ROOT / "scripts/golden.py"), str(output), *expected]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(output.read_text())["runs"]
    assert list(found) == list(expected)
    changed = [
        f"{name}: {difference(found[name], run)}"
        for name, run in expected.items()
        if found[name]["digest"] != run["digest"]
    ]
    assert not changed, "\n".join(changed)
