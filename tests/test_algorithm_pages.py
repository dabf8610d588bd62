"""The pages of the algorithms have the code's defaults and the comparison's results."""

import re
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from metarl.experiment.config import read_config
from metarl.meta_learners.registry import META_LEARNERS

ROOT = Path(__file__).parents[1]
PAGES = {path.stem: path.read_text() for path in (ROOT / "docs/algorithms").glob("*.md")}
ENVIRONMENT = {"id": "metarl/PointNavigation-v0", "horizon": 100}
SECTIONS = {"fomaml": {"meta_learner": {"name": "maml"}}, "from_scratch": {"from_scratch": {}}}


NOT_COMPARED = ("rl2", "varibad", "pearl", "recurrent_sac")


def defaults(page):
    rows = re.findall(r"^\| `([\w.]+)` \| `([^`]+)` \|", page.partition("## Defaults")[2], re.MULTILINE)
    return {key: yaml.safe_load(default) for key, default in rows}


def value(section, key):
    for name in key.split("."):
        section = section[name]
    return list(section) if isinstance(section, tuple) else section


def test_every_learner_has_a_page():
    assert {*PAGES} == {*META_LEARNERS, "fomaml", "from_scratch", "index"}
    assert all(f"({name}.md)" in PAGES["index"] for name in PAGES if name != "index")


@pytest.mark.parametrize("name", sorted({*PAGES} - {"index"}))
def test_a_pages_defaults_are_the_codes(name):
    sections = SECTIONS.get(name, {"meta_learner": {"name": name}})
    (section,) = sections
    config = read_config({"environment": ENVIRONMENT, **sections, "run_dir": "runs/none"})
    settings = asdict(getattr(config, section))
    found = defaults(PAGES[name])
    assert found
    for key, default in found.items():
        expected = value(settings, key)
        assert (float(default) if isinstance(expected, float) else default) == expected, key


@pytest.mark.parametrize("name", NOT_COMPARED)
def test_a_page_of_a_learner_with_memory_lacks_no_default(name):
    """Gradient-based learners share MAML's; these share none."""
    sections = {"environment": ENVIRONMENT, "meta_learner": {"name": name}, "run_dir": "runs/none"}
    assert {*read_config(sections).as_dict()["meta_learner"]} - {"name"} <= {*defaults(PAGES[name])}


@pytest.mark.parametrize("name", sorted({*PAGES} - {"index"}))
def test_a_pages_results_are_the_comparisons(name):
    compared = (ROOT / "docs/comparisons.md").read_text().splitlines()
    rows = [line for line in PAGES[name].partition("## Results")[2].splitlines() if line.startswith("|")]
    assert len(rows) >= 3 or name in NOT_COMPARED
    assert all(row in compared for row in rows)
