"""What a learner replays is a part of its checkpoint: exact, tied to it, and cut to it."""

import pytest
import torch

from metarl.errors import RunError
from metarl.meta_learners.learner import LearnerState
from metarl.rollouts import replay as replay_module
from metarl.rollouts.replay import Replay
from metarl.runs import replay_files
from metarl.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from metarl.runs.files import REPLAY, replay_file
from metarl.runs.run_config import config_digest
from tests.support.replayed import whole_replay


def rows(number, seed=0):
    generator = torch.Generator().manual_seed(seed)
    seen = torch.randn(number, 3, generator=generator)
    return {"seen": seen, "slot": torch.arange(number, dtype=torch.int32)}


def replay_of(number):
    empty = Replay({"seen": torch.empty(0, 3), "slot": torch.empty(0, dtype=torch.int32)})
    return empty.append({name: value[:number] for name, value in rows(40).items()})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A run folder whose files hold four rows each."""
    monkeypatch.setattr(replay_module, "CHUNK_BYTES", 4 * 16)
    (tmp_path / "config.yaml").write_text("seed: 3\n")
    return tmp_path


def save(folder, number, iteration=1):
    state = LearnerState({"a": torch.ones(2)}, (), replay_of(number))
    save_checkpoint(folder, Checkpoint(state, iteration, 0, config_digest(folder)))


def loaded(folder):
    return whole_replay(folder)


def check(folder, number):
    found = loaded(folder)
    assert found.length == number
    for name, value in rows(40).items():
        assert torch.equal(found.column(name), value[:number])


@pytest.mark.parametrize("lengths", [(1,), (4,), (3, 11, 12), (0, 5, 5), (10, 11, 30)])
def test_rows_come_back_bit_for_bit(folder, lengths):
    for iteration, number in enumerate(lengths):
        save(folder, number, iteration)
    if number:
        check(folder, number)
    grown = loaded(folder).append({name: value[:9] for name, value in rows(9, seed=1).items()})
    assert grown.length == number + 9


def test_a_full_file_is_not_written_again(folder):
    save(folder, 6)
    before = [replay_file(folder, number).stat().st_mtime_ns for number in (0, 1)]
    save(folder, 9, iteration=2)
    after = [replay_file(folder, number).stat().st_mtime_ns for number in (0, 1, 2)]
    assert after[0] == before[0]
    assert after[1] > before[1]


def test_rows_behind_the_checkpoint_are_cut(folder):
    """As a crash leaves them that comes after the rows and before the checkpoint."""
    save(folder, 6)
    replay_files.write_replay(folder, replay_of(19), 6, config_digest(folder))
    check(folder, 6)
    other = loaded(folder).append({name: value[:12] for name, value in rows(12, seed=1).items()})
    save_checkpoint(
        folder, Checkpoint(LearnerState({"a": torch.ones(2)}, (), other), 2, 0, config_digest(folder))
    )
    assert torch.equal(loaded(folder).column("seen"), other.column("seen"))


def save_latest(folder, number, capacity, iteration=1):
    state = LearnerState({"a": torch.ones(2)}, (), replay_of(number).without_oldest(capacity))
    save_checkpoint(folder, Checkpoint(state, iteration, 0, config_digest(folder)))


@pytest.mark.parametrize("numbers", [(9, 14, 27), (3, 27), (27,)])
def test_files_of_rows_that_left_are_removed_and_the_others_come_back(folder, numbers):
    for iteration, number in enumerate(numbers):
        save_latest(folder, number, 6, iteration)
    found = loaded(folder)
    assert (found.length, found.dropped, found.ever) == (7, 20, 27)
    assert torch.equal(found.column("slot"), torch.arange(20, 27, dtype=torch.int32))
    names = [replay_file(folder, number).name for number in (5, 6)]
    assert sorted(path.name for path in (folder / REPLAY).iterdir()) == names


def test_a_crash_before_the_checkpoint_leaves_the_rows_that_it_says(folder):
    save_latest(folder, 14, 6)
    replay_files.write_replay(folder, replay_of(27).without_oldest(6), 14, config_digest(folder))
    found = loaded(folder)
    assert torch.equal(found.column("slot"), torch.arange(8, 14, dtype=torch.int32))
    save_latest(folder, 27, 6, iteration=2)
    assert loaded(folder).dropped == 20


def test_only_a_resume_reads_them(folder):
    save(folder, 6)
    replay_file(folder, 0).unlink()
    assert load_checkpoint(folder).state.replay is None


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("flipped", "rows_000001.safetensors: .*digest"),
        ("cut", "rows_000001.safetensors: expected a safetensors file, found a damaged one"),
        (
            "missing",
            r"replay: expected 11 rows to replay, found 4: rows_000001.safetensors is missing",
        ),
        ("swapped", "rows_000001.safetensors: expected rows of this run"),
        ("another run's", "rows_000001.safetensors: expected rows of this run"),
        (
            "fewer",
            "replay: expected 11 rows to replay, found 10: rows_000003.safetensors is missing",
        ),
    ],
)
def test_damage_is_told_in_one_line(folder, damage, message):
    save(folder, 11)
    path = replay_file(folder, 1)
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[-5] ^= 1
        path.write_bytes(data)
    elif damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "missing":
        path.unlink()
    elif damage == "swapped":
        path.write_bytes(replay_file(folder, 2).read_bytes())
    elif damage == "another run's":
        replay_files.write_replay(folder, replay_of(11), 4, "0123456789ab")
    else:
        replay_files.write_replay(folder, replay_of(10), 8, config_digest(folder))
    with pytest.raises(RunError, match=message) as found:
        loaded(folder)
    assert "\n" not in str(found.value)


def test_a_learner_without_rows_has_no_files(folder):
    save_checkpoint(folder, Checkpoint(LearnerState({"a": torch.ones(2)}), 1, 0, config_digest(folder)))
    assert not (folder / REPLAY).exists()
    assert loaded(folder) is None
