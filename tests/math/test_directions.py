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
    assert mean_cosine(units.mean(0), 5).item() == pytest.approx(sum(pairs) / len(pairs), abs=1e-6)


def test_a_direction_of_length_zero_stays_zero():
    units = unit_vectors({"weight": torch.tensor([[0.0, 0.0], [3.0, 4.0]])})
    torch.testing.assert_close(units, torch.tensor([[0.0, 0.0], [0.6, 0.8]]))
