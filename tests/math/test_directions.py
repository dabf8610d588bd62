import pytest
import torch

from metarl.math.directions import mean_cosine, unit_vectors


def test_the_mean_cosine_is_that_of_all_pairs():
    generator = torch.Generator().manual_seed(0)
    directions = {
        "weight": torch.randn(5, 2, 3, generator=generator),
        "bias": torch.randn(5, generator=generator),
    }
    units = unit_vectors(directions)
    joined = torch.cat([directions["weight"].reshape(5, 6), directions["bias"].reshape(5, 1)], dim=1)
    pairs = [
        torch.cosine_similarity(joined[i], joined[j], dim=0).item()
        for i in range(5)
        for j in range(5)
        if i != j
    ]
    found = mean_cosine(units.mean(0), units.norm(dim=1))
    assert found == pytest.approx(sum(pairs) / len(pairs), abs=1e-6)


def test_directions_of_length_zero_have_no_cosine():
    """Neither with each other, where -1/(n - 1) would tell that tasks conflict, nor with others."""
    some = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0], [4.0, 3.0]])
    for values, expected in ((some, 24 / 25), (some[:3], None), (torch.zeros(4, 2), None)):
        units = unit_vectors({"weight": values})
        found = mean_cosine(units.mean(0), units.norm(dim=1))
        assert found == (None if expected is None else pytest.approx(expected))


def test_a_direction_of_length_zero_stays_zero():
    units = unit_vectors({"weight": torch.tensor([[0.0, 0.0], [3.0, 4.0]])})
    torch.testing.assert_close(units, torch.tensor([[0.0, 0.0], [0.6, 0.8]]))


def test_directions_whose_squares_vanish_are_of_length_1():
    units = unit_vectors({"weight": torch.tensor([[3e-30, 4e-30], [3e30, 4e30]])})
    torch.testing.assert_close(units, torch.tensor([[0.6, 0.8], [0.6, 0.8]]))
