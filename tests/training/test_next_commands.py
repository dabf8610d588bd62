"""The commands that a run's card and a stopped training tell run as they stand."""

import shlex
import signal
import sys
from dataclasses import replace

import pytest
import torch

import metarl
from metarl.command import main
from metarl.compute.task_map import TaskMap
from metarl.meta_learners.learner import MetaLearner
from metarl.meta_learners.maml import MamlConfig, maml
from metarl.policies.policy import Policy
from metarl.runs.checkpoint import load_checkpoint
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


STOPS = []
"""Updates after which a training is stopped, as by Ctrl-C."""


def stopped(policy: Policy, config: MamlConfig, task_map: TaskMap) -> MetaLearner:
    """MAML that is stopped."""
    learner = maml(policy, config, task_map)

    def update(state, batch):
        if STOPS and not STOPS.pop():
            raise KeyboardInterrupt
        return learner.update(state, batch)

    return replace(learner, update=update)


@pytest.fixture
def command(monkeypatch, capsys):
    """(words) -> exit code and what was printed; signals and threads are put back."""
    threads, handler = torch.get_num_threads(), signal.getsignal(signal.SIGTERM)

    def run(words):
        monkeypatch.setattr(sys, "argv", words)
        return main(), capsys.readouterr().out

    yield run
    torch.set_num_threads(threads)
    signal.signal(signal.SIGTERM, handler)
    STOPS.clear()


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--quiet", "--meta_learner.inner_step_size=0.2", "--seed", "5"],
        ["--seeds", "1", "2"],
        ["--sweep", "meta_learner.inner_step_size=0.1,0.2"],
    ],
    ids=str,
)
def test_what_a_stopped_training_prints_goes_on_with_it(command, small_config_file, tmp_path, words):
    own = ["--meta_learner.name", f"{__name__}:stopped", "--training.iterations", "2"]
    folder = tmp_path / "a run"
    STOPS[:] = [False, True]
    code, out = command(["metarl", "train", str(small_config_file), *own, "--run_dir", str(folder), *words])
    assert code == 130
    done = [load_checkpoint(path.parent).iteration for path in folder.rglob("checkpoint.safetensors")]
    assert done == [1]
    code, out = command(shlex.split(out.splitlines()[-1]))
    assert code == 0
    assert {load_checkpoint(path.parent).iteration for path in folder.rglob("checkpoint.safetensors")} == {2}


def test_a_finished_training_prints_the_same_commands(command, small_config_file, tmp_path):
    words = ["--training.iterations", "1", "--training.evaluation_steps", "2"]
    code, out = command(["metarl", "train", str(small_config_file), *words])
    assert code == 0
    told = next_commands(metarl.load(tmp_path / "run").experiment)
    assert [line.strip() for line in out.splitlines()[-2:]] == told
