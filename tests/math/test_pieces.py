"""Results of a few tasks at a time are those of all."""

import pytest
import torch

from metarl.compute import pieces
from metarl.compute.pieces import Pieces, in_pieces
from metarl.compute.task_map import TaskMap


def both(values):
    """Of tasks: their sums, and what is twice them."""
    return {"sum": values["a"].sum(1), "more": (values["a"] * 2, values["b"].long())}


@pytest.mark.parametrize("tasks", [1, 3, 4, 11])
def test_they_are_joined_in_their_order(monkeypatch, tasks):
    sizes = []

    def function(values):
        sizes.append(len(values["a"]))
        return both(values)

    values = {"a": torch.randn(tasks, 3), "b": torch.arange(tasks)}
    monkeypatch.setattr(pieces, "TASKS_AT_ONCE", 3)
    found, expected = in_pieces(function, values), both(values)
    assert max(sizes) <= 3
    assert torch.equal(found["sum"], expected["sum"])
    assert all(torch.equal(one, other) for one, other in zip(found["more"], expected["more"], strict=True))


def test_they_may_come_in_any_order():
    whole = Pieces(5)
    for start, part in ((3, [3.0, 4.0]), (0, [0.0, 1.0, 2.0])):
        whole.put(start, torch.tensor(part))
    assert whole.joined().tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("size", [1, 2])
def test_autograd_follows_through_the_pieces_of_a_map(size):
    weights = torch.randn(3, requires_grad=True)
    data = torch.randn(5, 3)
    found = TaskMap(size, 2)(lambda w, x: (w * x).sum().sin(), data, shared=(weights,), tasks=5)
    found.sum().backward()
    expected = (data * (data @ weights).cos().unsqueeze(1)).sum(0)
    torch.testing.assert_close(weights.grad, expected)
