"""The commands that a run's card tells run as they stand."""

import shlex
import sys

import pytest

import metarl
from metarl.command import main
from metarl.training.next_commands import next_commands
from tests.conftest import SMALL

RUNS = {
    "by gradients": {},
    "by memory": {"policy": {"name": "gru"}, "meta_learner": {"name": "rl2"}},
    "tasks without a range": {"environment": {"id": "metarl/HalfCheetahDir-v0", "horizon": 8}},
}


@pytest.mark.parametrize("kind", RUNS)
def test_they_run(kind, tmp_path, monkeypatch):
    config = {**SMALL, **RUNS[kind], "run_dir": str(tmp_path / "run")}
    told = next_commands(metarl.train(config, overrides=["--training.iterations", "1"]).experiment)
    assert [shlex.split(line)[1] for line in told] == ["adapt", "evaluate"]
    for line in told:
        monkeypatch.setattr(sys, "argv", shlex.split(line))
        assert main() == 0
