"""Rows are only added to, and drawn by their group from a generator alone."""

import pytest
import torch

from metarl.rollouts import replay as replay_module
from metarl.rollouts.replay import Replay
from metarl.rollouts.row_groups import draw_groups, draw_places, grouped, latest, rows_at


def rows(first, number):
    counted = torch.arange(first, first + number)
    return {"seen": counted.float().unsqueeze(1).expand(-1, 3), "end": counted % 2 == 0}


def empty():
    return Replay({"seen": torch.empty(0, 3), "end": torch.empty(0, dtype=torch.bool)})


def test_rows_come_back_in_their_order_however_they_were_added():
    replay = empty()
    for first, number in ((0, 1), (1, 5), (6, 0), (6, 30)):
        replay = replay.append(rows(first, number))
    assert replay.length == 36
    for name, expected in rows(0, 36).items():
        assert torch.equal(replay.column(name), expected)
    picked = replay.pick(torch.tensor([[35, 0], [7, 7]]))
    assert picked["seen"][..., 0].tolist() == [[35, 0], [7, 7]]
    assert picked["end"].tolist() == [[False, True], [False, False]]


def test_a_shorter_view_stays_what_it_was():
    first = empty().append(rows(0, 4))
    longer = first.append(rows(4, 3))
    assert first.length == 4
    assert torch.equal(first.column("seen"), rows(0, 4)["seen"])
    assert torch.equal(longer.column("seen"), rows(0, 7)["seen"])
    other = first.append(rows(40, 2))
    assert torch.equal(first.column("seen"), rows(0, 4)["seen"])
    assert other.column("seen")[:, 0].tolist() == [0, 1, 2, 3, 40, 41]


@pytest.mark.parametrize("steps", [(36,), (10, 3, 23), (7,) * 5 + (1,)])
def test_the_oldest_leave_by_whole_chunks_and_the_latest_stay(monkeypatch, steps):
    monkeypatch.setattr(replay_module, "CHUNK_BYTES", 4 * 13)
    replay, first = empty(), 0
    for number in steps:
        before, seen = replay, replay.column("seen").clone()
        replay = replay.append(rows(first, number)).without_oldest(10)
        first += number
        assert torch.equal(before.column("seen"), seen)
    assert (replay.length, replay.dropped, replay.ever) == (12, 24, 36)
    for name, expected in rows(24, 12).items():
        assert torch.equal(replay.column(name), expected)
    assert replay.pick(torch.tensor([0, 11]))["seen"][:, 0].tolist() == [24, 35]
    assert max(map(len, replay.columns.values())) <= 36
    assert replay.without_oldest(0).length == 12


def test_a_row_takes_what_its_columns_take():
    assert empty().row_bytes == empty().append(rows(0, 9)).row_bytes == 3 * 4 + 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"seen": torch.zeros(2, 3)},
        {"seen": torch.zeros(2, 4), "end": torch.zeros(2, dtype=torch.bool)},
        {"seen": torch.zeros(2, 3), "end": torch.zeros(3, dtype=torch.bool)},
    ],
)
def test_rows_of_another_form_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        empty().append(wrong)


LABELS, ROWS = torch.tensor([7, 2, 7, 2, 2, 9]), torch.tensor([10, 11, 12, 13, 14, 15])


def test_groups_hold_their_own_rows_in_order():
    groups = grouped(LABELS, ROWS)
    assert groups.labels.tolist() == [2, 7, 9]
    assert groups.rows.tolist() == [11, 13, 14, 10, 12, 15]
    assert (groups.starts.tolist(), groups.counts.tolist()) == ([0, 3, 5], [3, 2, 1])


def draw(groups, chosen, number, seed):
    generator = torch.Generator().manual_seed(seed)
    return rows_at(groups, chosen, draw_places(groups.counts[chosen], number, generator))


def test_draws_are_of_the_chosen_groups_alone_and_even():
    found = draw(grouped(LABELS, ROWS), torch.tensor([1, 0]), 30_000, 0)
    for drawn, expected in zip(found, ([10, 12], [11, 13, 14]), strict=True):
        numbers, counts = drawn.unique(return_counts=True)
        assert numbers.tolist() == expected
        torch.testing.assert_close(
            counts / 30_000, torch.full_like(counts / 1, 1 / len(expected)), rtol=0.05, atol=0.0
        )


def test_draws_follow_from_the_generator_alone():
    groups, chosen = grouped(LABELS, ROWS), torch.tensor([0, 2])
    first, again, other = (draw(groups, chosen, 5, seed) for seed in (4, 4, 5))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_chosen_groups_are_different_ones():
    chosen = draw_groups(20, 8, torch.Generator().manual_seed(0))
    assert len(set(chosen.tolist())) == 8
    assert sorted(draw_groups(20, 30, torch.Generator().manual_seed(0)).tolist()) == list(range(20))


def test_the_latest_rows_of_every_label():
    numbers = torch.tensor([0, 0, 3, 1, 1, 0])
    assert latest(LABELS, numbers).tolist() == [False, False, True, True, True, True]
    assert latest(LABELS[:0], numbers[:0]).tolist() == []
