"""Imports go down only."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = [
    ("metarl.errors", "metarl.math"),
    ("metarl.rollout",),
    ("metarl.policies", "metarl.baselines"),
    ("metarl.objectives",),
    ("metarl.sampling",),
    ("metarl.adaptation",),
    ("metarl.meta_learners",),
    ("metarl.training",),
    ("metarl.config",),
    ("metarl.build",),
    ("metarl.run_training", "metarl.meta_policy"),
]


def modules():
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path
        for path in (ROOT / "metarl").rglob("*.py")
        if path.name != "__init__.py"
    }


def floor(module):
    for height, names in enumerate(FLOORS):
        if any(module == name or module.startswith(name + ".") for name in names):
            return height
    raise AssertionError(f"{module} stands on no floor: add it to FLOORS")


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("module", list(modules()))
def test_imports_go_down(module):
    for name in imported(modules()[module]):
        assert name != "metarl", "import from the module, not from the package's root"
        if name.startswith("metarl."):
            assert floor(name) <= floor(module), f"{module} imports {name} from a floor above"


def test_no_cycles():
    graph = {m: [n for n in imported(path) if n in modules()] for m, path in modules().items()}
    done: set[str] = set()

    def visit(module, path):
        assert module not in path, f"cycle: {' -> '.join([*path, module])}"
        if module not in done:
            for name in graph[module]:
                visit(name, [*path, module])
            done.add(module)

    for module in graph:
        visit(module, [])


@pytest.mark.parametrize("path", list((ROOT / "envs").rglob("*.py")), ids=lambda path: path.stem)
def test_environments_know_neither_torch_nor_metarl(path):
    assert not [name for name in imported(path) if name.split(".")[0] in ("torch", "metarl")]


@pytest.mark.parametrize(
    ("folder", "strangers"),
    [("sampling", ("metarl.objectives", "metarl.meta_learners")), ("meta_learners", ("metarl_envs",))],
)
def test_samplers_see_no_loss_and_learners_no_environment(folder, strangers):
    for path in (ROOT / "metarl" / folder).glob("*.py"):
        assert not [name for name in imported(path) if name.startswith(strangers)]
