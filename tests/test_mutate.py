"""Mutation testing on a module of which it is known what its tests see."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from mutations import mutants

SCRIPT = Path(__file__).parents[1] / "scripts" / "mutate.py"
SOURCE = '''"""Prices."""


def total(prices: list[float], discount: float = 0.5) -> float:
    """Half the sum."""
    return sum(prices) * discount


def slowest(times: list[int], limit: int) -> int:
    while limit > 100:
        limit = limit - 100
    return min(limit, times[0])
'''
TESTS = """
from price import slowest, total

def test_total():
    assert total([1.0, 2.0]) == 1.5

def test_slowest():
    assert slowest([90, 5], 160) == 60
"""


def changes(source):
    """The changed lines of a source's mutants."""
    return [mutant.after for mutant in mutants("source.py", source)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = a + b * c", ["x = (a - b * c)", "x = a + (b / c)"]),
        ("x += y", ["x -= y"]),
        ("x = -y", ["x = y"]),
        ("x = not y", ["x = y"]),
        ("x = a < b", ["x = (a <= b)"]),
        ("x = a and b", ["x = (a or b)"]),
        ("x = f(0.5, True)", ["x = f(1.5, True)", "x = f(0.5, False)"]),
        ("f(a, b, 'c')", ["f(b, a, 'c')"]),
        ("f(a, key=b, device=c)", ["f(a, device=c)"]),
        ("where(a, b, 'c')", ["where(a, 'c', b)", "where(b, a, 'c')"]),
        ("x.min()", ["x.max()"]),
        ("torch.mean(x)", ["torch.sum(x)"]),
        ("x.detach().y", ["x.y"]),
        ("torch.sqrt(x)", ["x"]),
        ("x[0]", ["x[1]", "x[-1]"]),
        ("x[-1]", ["x[1]", "x[-2]", "x[0]"]),
        ("x[a:]", ["x[(a + 1):]"]),
        ("if a(b):\n    pass", ["if not a(b):"]),
        ("x = [a for a in b if a]", ["x = [a for a in b if not a]"]),
        ("def f(a):\n    return a", ["return None"]),
    ],
)
def test_what_is_changed(source, expected):
    assert sorted(changes(source)) == sorted(expected)


@pytest.mark.parametrize(
    "source",
    [
        '"""At most 3 + 4."""',
        "x: int | None",
        "def f(a: tuple[int, 2]) -> tuple[int, 3]: ...",
        "raise ValueError(f'got {a + 1}')",
        "class Config:\n    size: int = 3",
        "Size = float | dict[str, float]",
        "T = TypeVar('T', covariant=True)",
        "@dataclass(frozen=True)\nclass A: ...",
        "zip(a(), b(), strict=True)",
    ],
)
def test_what_is_left_alone(source):
    assert changes(source) == []


def test_a_mutant_is_the_source_but_for_one_place():
    source = 'x = "ä" + (1 *\n     y)  # why\nz = 2\n'
    texts = [mutant.source for mutant in mutants("source.py", source)]
    assert 'x = "ä" + ((1 / y))  # why\nz = 2\n' in texts
    assert 'x = "ä" + (2 *\n     y)  # why\nz = 2\n' in texts
    assert len(set(texts)) == len(texts) == 4


@pytest.fixture
def project(tmp_path):
    """A module, its tests and a mapping, in a folder of their own."""
    (tmp_path / "price.py").write_text(SOURCE)
    (tmp_path / "test_price.py").write_text(TESTS)
    (tmp_path / "mapping.yaml").write_text(yaml.safe_dump({"price.py": ["test_price.py"]}))
    return tmp_path


def mutate(project, *options):
    command = [sys.executable, SCRIPT, "--root", project, "--mapping", project / "mapping.yaml", *options]
    return subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)


def test_known_mutants_are_killed_and_survive(project, tmp_path):
    """160 is not 100, nor does it tell 100 from 101; and the smaller of 60 and 90 is 60."""
    before = sorted(project.rglob("*"))
    output = tmp_path / "found.json"
    done = mutate(project, "--output", output)
    assert done.returncode == 0, done.stderr
    output, text = json.loads(output.read_text()), done.stdout
    found = {one["diff"].split("\n+ ")[1]: one for one in output["mutants"]}
    assert found["return (sum(prices) / discount)"]["verdict"] == "killed"
    assert found["return (sum(prices) / discount)"]["failure"].startswith("test_price.py::test_total")
    assert found["def total(prices: list[float], discount: float = 1.5) -> float:"]["verdict"] == "killed"
    assert found["return max(limit, times[0])"]["verdict"] == "killed"
    assert found["while (limit >= 100):"]["verdict"] == "survived"
    assert found["while limit > 101:"]["verdict"] == "survived"
    assert found["limit = (limit + 100)"]["verdict"] == "timed out"
    assert found["return min(limit, times[1])"]["verdict"] == "killed"
    assert found["return min(limit, times[-1])"]["verdict"] == "killed"
    verdicts = [one["verdict"] for one in output["mutants"]]
    assert f"price.py:{found['while (limit >= 100):']['line']}" in text
    assert "- while limit > 100:\n+ while (limit >= 100):" in text
    counts = [len(verdicts), *map(verdicts.count, ("killed", "timed out", "survived"))]
    assert text.splitlines()[-1].split()[:5] == ["all", *map(str, counts)]
    assert set(project.rglob("*")) - set(before) == {tmp_path / "found.json"}
    assert (project / "price.py").read_text() == SOURCE


@pytest.mark.parametrize(
    ("tests", "message"),
    [
        (["test_absent.py"], "expected test_absent.py to pass without a mutation, got"),
        ([], "price.py: expected a list of tests, got []"),
    ],
)
def test_a_mapping_that_cannot_be_used_is_told(project, tests, message):
    (project / "mapping.yaml").write_text(yaml.safe_dump({"price.py": tests}))
    done = mutate(project)
    assert done.returncode == 2
    assert f"{message}" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_mapping_of_this_package_names_tests_that_are_there():
    root = SCRIPT.parents[1]
    mapping = yaml.safe_load((root / "scripts/mutate.yaml").read_text())
    for source, tests in mapping.items():
        assert (root / source).is_file()
        for test in tests:
            assert (root / test.split()[0]).is_file()
    folders = ("math", "meta_learners", "objectives")
    every = [path for folder in folders for path in (root / "metarl" / folder).rglob("*.py")]
    assert {str(p.relative_to(root)) for p in every if p.name != "__init__.py"} <= set(mapping)
