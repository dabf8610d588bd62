"""Environments do what they did when their trajectories were recorded."""

import json

import mujoco
import pytest

from tests.support import golden
from tests.support.trajectories import CASES

CHEETAH = next(case for case in CASES if str(case) == "HalfCheetahVel-v0[maml]")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_trajectories_are_as_recorded(case):
    golden.check(case)


def test_every_file_belongs_to_a_family_and_all_are_small():
    files = list(golden.FOLDER.iterdir())
    assert set(files) == {golden.file_of(case) for case in CASES}
    assert sum(file.stat().st_size for file in files) < 100_000


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """(change of the recorded numbers) -> a folder where HalfCheetahVel's file has it."""

    def changed(change):
        content = json.loads(golden.file_of(CHEETAH).read_text())
        change(content["trajectories"][str(CHEETAH)])
        content["mujoco"] = "3.17.0"
        monkeypatch.setattr(golden, "FOLDER", tmp_path)
        golden.file_of(CHEETAH).write_text(json.dumps(content))

    return changed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r["reward"].__setitem__(3, r["reward"][3] * 1.00001), r"reward\[3\] is .*, was"),
        (lambda r: r["last_observation"].__setitem__(0, 0.0), r"last_observation\[0\] is .*, was 0\.0"),
        (lambda r: r["last_observation"].pop(), "last_observation has 17 numbers, had 16"),
        (lambda r: r.update(ended="terminated"), "ended not with .*, was terminated"),
        (lambda r: r.pop("reward_control"), "ended not with .*reward_control.*, was"),
    ],
)
def test_a_change_is_told_with_the_version_that_recorded(recorded, change, message):
    recorded(change)
    with pytest.raises(AssertionError, match=message) as error:
        golden.check(CHEETAH)
    version = f"Recorded with MuJoCo 3.17.0, this is {mujoco.__version__}: if the change is MuJoCo's or meant"
    assert version in str(error.value)
    assert "python -m tests.support.golden --write" in str(error.value)


def test_another_processors_last_bits_are_no_change(recorded):
    recorded(lambda r: r["last_observation"].__setitem__(1, r["last_observation"][1] * (1 + 1e-8)))
    golden.check(CHEETAH)


def test_a_family_without_a_record_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(golden, "FOLDER", tmp_path)
    with pytest.raises(AssertionError, match="no trajectory recorded; rewrite with `python -m"):
        golden.check(CHEETAH)


def test_writing_records_what_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(golden, "FOLDER", tmp_path / "golden")
    monkeypatch.setattr(golden, "CASES", [CHEETAH])
    golden.write()
    assert json.loads(golden.file_of(CHEETAH).read_text())["mujoco"] == mujoco.__version__
    golden.check(CHEETAH)
