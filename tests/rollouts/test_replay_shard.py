"""Shards of several ranks are together what one rank has, and their files are its files."""

from functools import partial

import pytest
import torch

from metarl.errors import RunError
from metarl.meta_learners.learner import LearnerState
from metarl.rollouts import replay as replay_module
from metarl.rollouts.replay import Replay
from metarl.rollouts.replay_shard import NUMBER, ReplayShard
from metarl.runs.checkpoint import Checkpoint, save_checkpoint
from metarl.runs.files import CHECKPOINT, replay_files
from metarl.runs.run_config import config_digest
from metarl.runs.tensor_files import read_tensors, write_tensors
from tests.support.replayed import restored

CHUNK, ROW = 4, 16


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(replay_module, "CHUNK_BYTES", CHUNK * ROW)


def rows(number, seed):
    generator = torch.Generator().manual_seed(seed)
    slots = torch.randint(0, 7, (number,), generator=generator)
    return {"seen": torch.randn(number, 3, generator=generator), "slot": slots}


def empty():
    return Replay({"seen": torch.empty(0, 3), "slot": torch.empty(0, dtype=torch.int32)})


def grown(replay, numbers, capacity):
    for seed, number in enumerate(numbers):
        replay = replay.append(rows(number, seed)).without_oldest(capacity)
    return replay


def shards(ranks):
    return [ReplayShard.of(empty(), "slot", rank, ranks) for rank in range(ranks)]


def check_together(found, whole):
    """The shards' rows are the whole one's, each on one rank, in its order."""
    for shard in found:
        assert (shard.ever, shard.dropped, shard.length) == (whole.ever, whole.dropped, whole.length)
        numbers = shard.own.column(NUMBER)
        assert (numbers.diff() > 0).all()
        for name in whole.columns:
            assert torch.equal(shard.own.column(name), whole.column(name)[numbers - whole.dropped])
        assert (shard.own.column("slot") % len(found) == shard.rank).all()
    assert sum(shard.own.length for shard in found) == whole.length


@pytest.mark.parametrize("capacity", [0, 5, 12])
@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_shards_together_are_the_whole(ranks, capacity):
    grow = partial(grown, numbers=(3, 11, 1, 9, 20), capacity=capacity)
    check_together([grow(shard) for shard in shards(ranks)], grow(empty()))


def test_a_rank_without_groups_has_no_rows():
    one = {"seen": torch.ones(5, 3), "slot": torch.full((5,), 2)}
    found = [shard.append(one) for shard in shards(4)]
    assert [shard.own.length for shard in found] == [0, 0, 5, 0]
    assert [shard.without_oldest(1).own.length for shard in found] == [0, 0, 1, 0]
    assert {shard.without_oldest(1).length for shard in found} == {1}


def saved(folder, replay, iteration):
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text("seed: 3\n")
    checkpoint = Checkpoint(LearnerState({}, (), replay), iteration, 0, config_digest(folder))
    return save_checkpoint(folder, checkpoint).state.replay


@pytest.mark.parametrize("capacity", [0, 5, 12])
@pytest.mark.parametrize("every", [1, 2, 5])
def test_the_first_rank_writes_the_files_of_the_whole(tmp_path, capacity, every):
    """However often; between two checkpoints it holds what is in no full file, and no more."""
    first, second = shards(2)
    whole, numbers = empty(), (3, 11, 1, 9, 20)
    for seed, number in enumerate(numbers):
        added = rows(number, seed)
        first, second, whole = (one.append(added).without_oldest(capacity) for one in (first, second, whole))
        assert second.latest.length == 0
        if (seed + 1) % every == 0:
            first = saved(tmp_path / "shards", first, seed)
            whole = saved(tmp_path / "whole", whole, seed)
            assert first.latest.length < CHUNK
    check_together((first, second), whole)
    files = [replay_files(tmp_path / name) for name in ("shards", "whole")]
    assert [path.name for path in files[0]] == [path.name for path in files[1]]
    for one, other in zip(*files, strict=True):
        (found, metadata), (expected, of_whole) = read_tensors(one), read_tensors(other)
        assert metadata == of_whole
        assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_any_number_of_ranks_goes_on_from_the_files(tmp_path, ranks):
    before = partial(grown, numbers=(3, 11, 9), capacity=12)
    more = partial(grown, numbers=(6, 9), capacity=12)
    saved(tmp_path / "run", before(ReplayShard.of(empty(), "slot", 0, 4)), 3)
    found = [restored(shard, tmp_path / "run") for shard in shards(ranks)]
    check_together(found, before(empty()))
    found, whole = [more(shard) for shard in found], more(before(empty()))
    check_together(found, whole)
    saved(tmp_path / "run", found[0], 5)
    assert torch.equal(restored(empty(), tmp_path / "run").column("seen"), whole.column("seen"))


def test_a_shorter_view_stays_what_it_was():
    for first in [shard.append(rows(9, 0)) for shard in shards(2)]:
        seen = first.own.column("seen").clone()
        longer = first.append(rows(6, 1))
        assert torch.equal(first.own.column("seen"), seen)
        assert (first.ever, longer.ever) == (9, 15)


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize(
    "wrong", [{"seen": torch.ones(0, 3)}, {"seen": torch.ones(5, 4)}, {"other": torch.ones(5)}]
)
def test_rows_of_another_kind_are_refused_on_every_rank(rank, wrong):
    with pytest.raises(ValueError, match=r"expected (rows of|as many rows)"):
        shards(2)[rank].append({**rows(5, 0), **wrong})


@pytest.mark.parametrize("tensors", [{}, {"seen": torch.tensor(1.0), "slot": torch.ones(3)}])
def test_a_file_without_rows_is_told(tmp_path, tensors):
    saved(tmp_path / "run", grown(empty(), (9,), 0), 3)
    path = replay_files(tmp_path / "run")[0]
    write_tensors(path, tensors, read_tensors(path)[1])
    with pytest.raises(RunError, match="expected rows of every column, found none"):
        restored(empty(), tmp_path / "run")


@pytest.mark.parametrize("count", ["replay_rows", "replay_dropped_rows", "replay_dropped_files"])
@pytest.mark.parametrize("wrong", ["[]", "-1", "9" * 30])
def test_a_checkpoint_that_counts_no_rows_is_told(tmp_path, count, wrong):
    saved(tmp_path / "run", grown(empty(), (9,), 0), 3)
    path = tmp_path / "run" / CHECKPOINT
    tensors, metadata = read_tensors(path)
    write_tensors(path, tensors, {**metadata, count: wrong})
    with pytest.raises(RunError, match=f"expected {count} to be a number of rows, got"):
        restored(empty(), tmp_path / "run")
