"""The pages of the families say what the code does."""

from pathlib import Path

import gymnasium
import metarl_envs
import pytest
from document_families import END, START, main, numbers, weights
from metarl_envs.registration import build_family

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs/environments"
INDEX = (PAGES / "index.md").read_text()


@pytest.mark.parametrize("name", metarl_envs.FAMILIES)
def test_a_familys_page_has_its_numbers(name):
    page = (PAGES / f"{name}.md").read_text()
    written = page.partition(START)[2].partition(END)[0].strip()
    assert written == numbers(name).strip(), "python scripts/document_families.py docs/environments"
    assert f"gallery/{name}.png" in page
    assert f"({name}.md)" in INDEX


@pytest.mark.parametrize("name", metarl_envs.FAMILIES)
def test_a_familys_page_says_whether_tasks_lie_beyond_the_range(name):
    refused = "`out_of_distribution` is refused" in (PAGES / f"{name}.md").read_text()
    try:
        gymnasium.make(f"metarl/{name}-v0", out_of_distribution=1.5).close()
    except ValueError:
        assert refused
    else:
        assert not refused


def test_weights_are_measured():
    maml = weights(build_family("AntGoal", {"preset": "maml"}))
    expected = {
        "reward_goal": -1.0,
        "reward_bonus": 4.0,
        "reward_healthy": 0.05,
        "reward_control": -0.005,
        "reward_contact": -5e-4,
    }
    assert maml == pytest.approx(expected)
    assert weights(build_family("HumanoidDir2D", {}))["reward_heading"] == pytest.approx(1.25)
    assert weights(build_family("SparsePoint", {})) == pytest.approx({"reward_goal": 1.0})


def test_numbers_that_no_longer_hold_are_written_anew(tmp_path, monkeypatch):
    for name in metarl_envs.FAMILIES:
        (tmp_path / f"{name}.md").write_text(f"before\n{START}\n| old |\n{END}\nafter\n")
    monkeypatch.setattr("sys.argv", ["document_families.py", str(tmp_path)])
    assert main() == 0
    page = (tmp_path / "AntVel.md").read_text()
    assert page == f"before\n{START}\n\n{numbers('AntVel')}\n{END}\nafter\n"
