import pytest
import torch

from metarl.errors import RunError
from metarl.meta_learners.learner import LearnerState
from metarl.runs.checkpoint import (
    Checkpoint,
    load_checkpoint,
    load_policy,
    load_snapshots,
    save_checkpoint,
    save_snapshot,
)
from metarl.runs.files import CHECKPOINT, POLICY, write_atomically
from metarl.runs.run_config import config_digest


@pytest.fixture
def saved(tmp_path):
    parameters = {"z.weight": torch.randn(3, 2), "a.bias": torch.randn(3).double()}
    state = LearnerState(parameters, {"moment": torch.randn(9)})
    (tmp_path / "config.yaml").write_text("seed: 3\n")
    save_checkpoint(tmp_path, Checkpoint(state, 7, 1234, config_digest(tmp_path)))
    return tmp_path, state


def test_a_checkpoint_comes_back_bit_for_bit_and_in_order(saved):
    folder, state = saved
    loaded = load_checkpoint(folder)
    assert (loaded.iteration, loaded.environment_steps) == (7, 1234)
    assert list(loaded.state.parameters) == ["z.weight", "a.bias"]
    for name, value in state.parameters.items():
        assert torch.equal(loaded.state.parameters[name], value)
        assert torch.equal(load_policy(folder).parameters[name], value)
    assert torch.equal(loaded.state.optimiser["moment"], state.optimiser["moment"])


def test_snapshots_come_back_in_order_without_their_optimiser(saved):
    folder, state = saved
    for iteration in (1000, 7, 20):
        save_snapshot(folder, Checkpoint(state, iteration, 10 * iteration, config_digest(folder)))
    found = load_snapshots(folder)
    assert [(one.iteration, one.environment_steps) for one in found] == [(7, 70), (20, 200), (1000, 10000)]
    for one in found:
        assert list(one.state.parameters) == ["z.weight", "a.bias"]
        assert all(torch.equal(value, state.parameters[name]) for name, value in one.state.parameters.items())
        assert one.state.optimiser == {}
    assert load_checkpoint(folder).iteration == 7


@pytest.mark.parametrize("damage", ["flipped", "cut", "foreign", "empty"])
def test_a_damaged_checkpoint_is_told(saved, damage):
    path = saved[0] / CHECKPOINT
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[-5] ^= 1
    elif damage == "cut":
        data = data[: len(data) // 2]
    path.write_bytes({"foreign": b"hello" * 100, "empty": b""}.get(damage, bytes(data)))
    with pytest.raises(RunError, match=r"checkpoint\.safetensors"):
        load_checkpoint(saved[0])


def test_a_missing_checkpoint_is_told(tmp_path):
    with pytest.raises(RunError, match="expected a run folder with"):
        load_checkpoint(tmp_path)


def test_a_policy_is_no_checkpoint(saved):
    folder = saved[0]
    (folder / POLICY).rename(folder / CHECKPOINT)
    with pytest.raises(RunError, match="expected a metarl checkpoint"):
        load_checkpoint(folder)


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def fail(_):
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
