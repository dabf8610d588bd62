"""Imports go down only."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = [
    ("metarl.errors", "metarl.math", "metarl.plain_yaml"),
    ("metarl.rollout",),
    ("metarl.policies", "metarl.baselines"),
    ("metarl.objectives", "metarl.stable_baselines"),
    ("metarl.sampling",),
    ("metarl.adaptation",),
    ("metarl.meta_learners",),
    ("metarl.training", "metarl.scratch.settings", "metarl.scratch.results"),
    ("metarl.config_messages",),
    ("metarl.config_sections",),
    ("metarl.config",),
    ("metarl.build", "metarl.run_folder"),
    ("metarl.run_training", "metarl.meta_policy", "metarl.starting_point"),
    ("metarl.scratch",),
    ("metarl.comparison",),
]
ENVIRONMENT_FLOORS = [
    (
        "metarl_envs.task_parameters",
        "metarl_envs.plane_parameters",
        "metarl_envs.rendering.scene",
        "metarl_envs.rendering.opengl",
    ),
    ("metarl_envs.tasks", "metarl_envs.task_files"),
    ("metarl_envs.family",),
    ("metarl_envs.physics", "metarl_envs.rendering", "metarl_envs.foreign"),
    ("metarl_envs.families",),
    ("metarl_envs.registration", "metarl_envs.vector_arguments"),
    ("metarl_envs.vector_env",),
    ("metarl_envs.single_env", "metarl_envs.sb3_vec_env"),
]


def modules():
    paths = [*(ROOT / "metarl").rglob("*.py"), *(ROOT / "envs").rglob("*.py")]
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removeprefix("envs."): path
        for path in paths
        if path.name != "__init__.py"
    }


def floor(module):
    """The house of a module and its height there; of two names that fit, the longer one tells."""
    house = "metarl" if module.startswith("metarl.") else "metarl_envs"
    floors = FLOORS if house == "metarl" else ENVIRONMENT_FLOORS
    fitting = [
        (len(name), height)
        for height, names in enumerate(floors)
        for name in names
        if module == name or module.startswith(name + ".")
    ]
    assert fitting, f"{module} stands on no floor: add it to the floors"
    return house, max(fitting)[1]


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
        assert name not in ("metarl", "metarl_envs"), "import from the module, not from the package's root"
        if name.startswith(f"{floor(module)[0]}."):
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
