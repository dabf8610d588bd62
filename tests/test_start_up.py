"""What is imported at the start: nothing that is not needed yet."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import metarl

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "stable_baselines3", "tensorboard", "matplotlib", "PIL", "tqdm", "rich", "jsonargparse")
RUN = "import sys; from metarl.command import main; sys.argv = ['metarl', '{}']; main()"


def imported(code):
    """The packages that a fresh process has imported after the code."""
    words = [sys.executable, "-c", f"{code}\nimport sys; print(); print(*sys.modules)"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'envs'}"}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}


@pytest.mark.parametrize("code", ["import metarl", RUN.format("--help"), RUN.format("walk")], ids=str)
def test_neither_the_package_nor_its_list_of_commands_waits_for_pytorch(code):
    assert not imported(code) & {*HEAVY}


def test_environments_are_registered_at_once():
    code = "import metarl, gymnasium\nassert 'metarl/PointNavigation-v0' in gymnasium.registry"
    assert "torch" not in imported(code)


def test_a_loaded_policy_acts_without_what_trains_and_draws():
    code = "import metarl\nmetarl.load('zoo/point_navigation').predict([0.0, 0.0])"
    found = imported(code)
    assert "torch" in found
    assert not found & {"stable_baselines3", "tensorboard", "matplotlib", "PIL", "rich"}


def test_types_and_imports_are_of_the_same_modules():
    """What type checkers read is what is imported when it is asked for."""
    tree = ast.parse((ROOT / "metarl/__init__.py").read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    read = {name.name: one.module for one in block.body for name in one.names}
    assigned = next(node for node in block.orelse if isinstance(node, ast.Assign))
    assert ast.literal_eval(assigned.value) == read
    assert {*read} < {*metarl.__all__} <= {*dir(metarl)}


def test_a_name_that_is_not_there_is_told():
    with pytest.raises(AttributeError, match="module 'metarl' has no attribute 'lod'"):
        metarl.lod  # noqa: B018
