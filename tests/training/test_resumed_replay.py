"""A run that remembers its episodes goes on to the same bits, memory included, wherever it was stopped."""

import os
import signal
from pathlib import Path

import pytest
import torch
import yaml

from metarl.errors import RunError
from metarl.meta_learners.learner import named_tensors
from metarl.rollouts import replay as replay_module
from metarl.runs.checkpoint import load_checkpoint
from metarl.runs.files import CHECKPOINT, REPLAY
from metarl.runs.tensor_files import read_tensors, write_tensors
from tests.support.replayed import whole_replay
from tests.support.warm_commands import start_script

PEARL = {
    "policy": {
        "name": "posterior",
        "encoder_sizes": [5],
        "hidden_sizes": [6],
        "latent_size": 2,
        "exploration_episodes": 1,
    },
    "sampling": {"tasks": 3, "episodes": 2, "training_tasks": 5},
    "meta_learner": {
        "name": "pearl",
        "replay_ratio": 0.1,
        "learning_starts": 50,
        "critic_sizes": [5],
        "meta_batch": 2,
        "batch_size": 8,
        "context_steps": 6,
    },
}
RECURRENT = {
    "policy": {"name": "squashed_gru", "hidden_size": 5, "hidden_sizes": [6]},
    "sampling": {"tasks": 3, "episodes": 2},
    "meta_learner": {
        "name": "recurrent_sac",
        "replay_ratio": 0.1,
        "learning_starts": 50,
        "critic_sizes": [5],
        "critic_hidden_size": 5,
        "meta_batch": 2,
    },
}
FORGETTING = {
    "replay_capacity": 40,
    "schedule": "linear",
    "schedule_updates": 5,
    "final_learning_rate": 1e-5,
}


@pytest.fixture
def remembering(small_config_file):
    """The small config with PEARL."""
    values = {**yaml.safe_load(small_config_file.read_text()), **PEARL}
    small_config_file.write_text(yaml.safe_dump(values))
    return small_config_file


def check_same(one, other, least=100):
    whole, found = (load_checkpoint(folder).state for folder in (one, other))
    for name, value in {**whole.parameters, **named_tensors(whole.optimiser)}.items():
        assert torch.equal({**found.parameters, **named_tensors(found.optimiser)}[name], value), name
    expected, replay = (whole_replay(folder) for folder in (one, other))
    assert expected.length == replay.length > least
    assert expected.dropped == replay.dropped
    for name in expected.columns:
        assert torch.equal(expected.column(name), replay.column(name)), name


@pytest.mark.parametrize("learner", [PEARL, RECURRENT], ids=["pearl", "recurrent_sac"])
def test_a_resumed_run_is_the_uninterrupted_run(learner, remembering, train_small, tmp_path, monkeypatch):
    remembering.write_text(yaml.safe_dump(yaml.safe_load(remembering.read_text()) | learner))
    monkeypatch.setattr(replay_module, "CHUNK_BYTES", 40 * 38)
    folders = [("--run_dir", str(tmp_path / name)) for name in ("whole", "halves")]
    train_small(*folders[0], "--training.iterations", "6")
    train_small(*folders[1], "--training.iterations", "3")
    train_small(*folders[1], "--training.iterations", "6", resume=True)
    check_same(tmp_path / "whole", tmp_path / "halves")
    assert len(list((tmp_path / "whole" / REPLAY).iterdir())) > 3


def test_a_resumed_run_forgets_as_the_uninterrupted_one(remembering, train_small, tmp_path, monkeypatch):
    monkeypatch.setattr(replay_module, "CHUNK_BYTES", 7 * 38)
    values = yaml.safe_load(remembering.read_text())
    remembering.write_text(yaml.safe_dump(values | {"meta_learner": PEARL["meta_learner"] | FORGETTING}))
    folders = [("--run_dir", str(tmp_path / name)) for name in ("whole", "halves")]
    train_small(*folders[0], "--training.iterations", "6")
    train_small(*folders[1], "--training.iterations", "4")
    train_small(*folders[1], "--training.iterations", "6", resume=True)
    check_same(tmp_path / "whole", tmp_path / "halves", least=39)
    replay = whole_replay(tmp_path / "whole")
    assert replay.dropped > 40
    assert replay.length < 40 + 7
    assert len(list((tmp_path / "whole" / REPLAY).iterdir())) <= 8


def test_a_stop_between_rows_and_checkpoint_changes_nothing(remembering, train_small, tmp_path, monkeypatch):
    whole, cut = (("--run_dir", str(tmp_path / name)) for name in ("whole", "cut"))
    train_small(*whole, "--training.iterations", "5")
    train_small(*cut, "--training.iterations", "2")
    replace = os.replace

    def fail_at_the_checkpoint(source, target):
        if Path(target).name == CHECKPOINT:
            raise OSError("power cut")
        replace(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", fail_at_the_checkpoint)
        with pytest.raises(OSError, match="power cut"):
            train_small(*cut, "--training.iterations", "5", resume=True)
    assert load_checkpoint(tmp_path / "cut").iteration == 2
    train_small(*cut, "--training.iterations", "5", resume=True)
    check_same(tmp_path / "whole", tmp_path / "cut")


@pytest.mark.parametrize("learner", [PEARL, RECURRENT], ids=["pearl", "recurrent_sac"])
def test_a_killed_run_resumes_to_the_same_bits(learner, remembering, train_small, tmp_path):
    remembering.write_text(yaml.safe_dump(yaml.safe_load(remembering.read_text()) | learner))
    killed = tmp_path / "killed"
    progress, words = killed / "progress.csv", ("--run_dir", killed, "--training.iterations", 1000)
    with start_script("train", "--config", remembering, *words) as process:
        process.wait_until(lambda: progress.exists() and progress.read_text().count("\n") > 8)
    assert process.returncode == -signal.SIGKILL, "expected the run to be killed before its end"
    assert load_checkpoint(killed).iteration > 0
    iterations = ("--training.iterations", str(progress.read_text().count("\n") + 2))
    train_small("--run_dir", str(killed), *iterations, resume=True)
    train_small("--run_dir", str(tmp_path / "whole"), *iterations)
    check_same(tmp_path / "whole", killed)


def test_a_damaged_memory_is_told_and_nothing_overwritten(remembering, train_small, tmp_path):
    train_small("--training.iterations", "2")
    path = next((tmp_path / "run" / REPLAY).iterdir())
    path.write_bytes(path.read_bytes()[:-7])
    before = {one: one.read_bytes() for one in (tmp_path / "run").rglob("*") if one.is_file()}
    with pytest.raises(RunError, match=rf"{path.name}: expected a safetensors file"):
        train_small("--training.iterations", "3", resume=True)
    after = {one: one.read_bytes() for one in (tmp_path / "run").rglob("*") if one.is_file()}
    assert after == before


def test_rows_of_another_shape_are_told_in_one_line(remembering, train_small, tmp_path):
    train_small("--training.iterations", "2")
    path = next(iter((tmp_path / "run" / REPLAY).iterdir()))
    tensors, metadata = read_tensors(path)
    write_tensors(
        path, {**tensors, "next_observations": tensors["next_observations"][:, 0].clone()}, metadata
    )
    with pytest.raises(RunError, match=r"rows to replay: expected rows of .*; put back the run's own files$"):
        train_small("--training.iterations", "3", resume=True)
