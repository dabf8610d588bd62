"""Environments of others that do anything wrong: one line names what, and nothing is left or lost."""

import gc

import pytest

import metarl
from tests.conftest import SMALL
from tests.support.hostile import PLACES, RAISED, RETURNED
from tests.support.told import refusal


def trained(folder, place, what, vectorization="sync"):
    environment = {
        "id": "tests.support.hostile:tests/Hostile-v0",
        "horizon": 4,
        "options": {"place": place, "what": what},
        "vectorization": vectorization,
    }
    training = {**SMALL["training"], "iterations": 1}
    sampling = {"tasks": 3, "episodes": 2}
    if vectorization == "async":
        sampling["num_threads"] = 1
    sections = {**SMALL, "environment": environment, "training": training, "sampling": sampling}
    metarl.train({**sections, "run_dir": str(folder)}, quiet=True)


SOME = ("ValueError", "SystemExit", "Final", "SpeechlessError")
each_kind = pytest.mark.parametrize("kinds", [SOME, pytest.param([*RAISED], marks=pytest.mark.slow)])


@each_kind
@pytest.mark.parametrize("place", [place for place in PLACES if place != "close"])
def test_whatever_it_raises_is_one_line(tmp_path, place, kinds):
    for what in kinds:
        line = refusal(lambda what=what: trained(tmp_path / what, place, what))
        assert line is not None
        if place in ("init", "spaces"):
            assert not (tmp_path / what).exists()


@pytest.mark.parametrize("what", RETURNED)
def test_tasks_that_are_none_are_one_line(tmp_path, what):
    line = refusal(lambda: trained(tmp_path / "run", "sample_tasks", what))
    assert line is not None
    assert line.startswith("environment.id: sample_tasks: ")
    assert ": expected " in line


@each_kind
@pytest.mark.filterwarnings("ignore:expected an environment that closes")
def test_one_that_does_not_close_costs_nothing(tmp_path, kinds):
    for what in kinds:
        assert refusal(lambda what=what: trained(tmp_path / what, "close", what)) is None
        assert metarl.load(tmp_path / what)
        gc.collect()


@pytest.mark.parametrize("what", ["SystemExit", "Final", "SpeechlessError"])
def test_processes_tell_it_too(tmp_path, what):
    line = refusal(lambda: trained(tmp_path / "run", "step", what, "async"))
    assert line is not None
    assert what in line


def test_ctrl_c_stays_what_it_is(tmp_path, monkeypatch):
    monkeypatch.setitem(RAISED, "KeyboardInterrupt", KeyboardInterrupt())
    for place in PLACES[:-1]:
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path / place, place, "KeyboardInterrupt")
