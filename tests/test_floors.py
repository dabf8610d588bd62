"""Imports go down only."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ARCHITECTURE = ROOT / "docs/architecture.md"


def read_floors():
    """The floors of every house, the lowest first: each a list of rooms and modules."""
    blocks = re.findall(r"```floors\n(.*?)```", ARCHITECTURE.read_text(), re.DOTALL)
    return [[line.split() for line in block.splitlines()] for block in blocks]


HOUSES = dict(zip(("metarl", "metarl_envs", "scripts"), read_floors(), strict=True))
FLOORS = HOUSES["metarl"]
SCRIPTS = {path.stem for path in (ROOT / "scripts").glob("*.py")}
FLAT = {"errors", "interrupts", "command", "__main__"}


def modules():
    paths = [path for folder in ("metarl", "envs", "scripts") for path in (ROOT / folder).rglob("*.py")]
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removeprefix("envs."): path
        for path in paths
        if path.name != "__init__.py"
    }


def floor(module):
    """The house of a module and its height there; of two names that fit, the longer one tells."""
    house = module.partition(".")[0]
    floors = HOUSES[house]
    fitting = [
        (len(name), height)
        for height, names in enumerate(floors)
        for name in names
        if module == name or module.startswith(name + ".")
    ]
    assert fitting, f"{module} stands on no floor: add it to the floors"
    return house, max(fitting)[1]


def imported(path):
    """The modules that a file imports; of scripts, which lie in no package, with their folder's name."""
    for name in _imported(path):
        yield f"scripts.{name}" if name in SCRIPTS and path.parent.name == "scripts" else name


def _imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("module", list(modules()))
def test_imports_go_down(module):
    for name in imported(modules()[module]):
        assert name not in ("metarl", "metarl_envs"), "import from the module, not from the package's root"
        if name.startswith(f"{floor(module)[0]}."):
            assert floor(name) <= floor(module), f"{module} imports {name} from a floor above"
        house = name.partition(".")[0]
        assert house != "scripts" or module.startswith("scripts."), f"{module} imports the script {name}"


def test_every_script_and_benchmark_stands_on_a_floor():
    assert {f"scripts.{name}" for name in SCRIPTS} | {"metarl.benchmarks.update"} <= set(modules())


def test_no_cycles():
    known = modules()
    graph = {module: {name for name in imported(path) if name in known} for module, path in known.items()}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names one


@pytest.mark.parametrize("path", list((ROOT / "envs").rglob("*.py")), ids=lambda path: path.stem)
def test_environments_know_neither_torch_nor_metarl(path):
    assert not [name for name in imported(path) if name.split(".")[0] in ("torch", "metarl")]


@pytest.mark.parametrize(
    ("folder", "strangers"),
    [
        ("rollouts", ("metarl.objectives.policy_gradient", "metarl.meta_learners")),
        ("meta_learners", ("metarl_envs",)),
    ],
)
def test_samplers_see_no_loss_and_learners_no_environment(folder, strangers):
    paths = list((ROOT / "metarl" / folder).rglob("*.py"))
    assert len(paths) > 3
    for path in paths:
        assert not [name for name in imported(path) if name.startswith(strangers)]


def test_every_room_says_what_it_is():
    rooms = {name.split(".")[1] for floor in FLOORS for name in floor if name.count(".") == 1} - FLAT
    assert rooms == {path.parent.name for path in (ROOT / "metarl").glob("*/__init__.py")}
    for room in rooms:
        purpose = ast.get_docstring(ast.parse((ROOT / "metarl" / room / "__init__.py").read_text()))
        assert purpose is not None
        assert "May use:" in purpose
        assert f"| `{room}` |" in ARCHITECTURE.read_text()
    flat = {path.stem for path in (ROOT / "metarl").glob("*.py")}
    assert flat == FLAT | {"__init__"}
