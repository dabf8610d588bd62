"""Signal and noise by pairs, one after another: what the estimators are the averages of."""

import itertools
import math

import pytest
import torch

from metarl.math.signal import Signal, signal_and_noise

ROUNDS, TASKS, SIZE = 4, 3, 5


def estimates(seed=0):
    return torch.randn(
        ROUNDS, TASKS, SIZE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


def average(values):
    values = [float(value) for value in values]
    return sum(values) / len(values)


def test_the_signal_is_what_two_rounds_of_a_task_have_in_common():
    given = estimates()
    pairs = [
        given[r, i].dot(given[s, i])
        for i in range(TASKS)
        for r, s in itertools.permutations(range(ROUNDS), 2)
    ]
    assert signal_and_noise(given).signal == pytest.approx(average(pairs))


def test_the_noise_is_half_of_the_squared_distance_of_two_rounds():
    given = estimates()
    distances = [
        (given[r, i] - given[s, i]).square().sum() / 2
        for i in range(TASKS)
        for r, s in itertools.combinations(range(ROUNDS), 2)
    ]
    assert signal_and_noise(given).noise == pytest.approx(average(distances))


def test_common_is_what_two_tasks_have_in_common():
    given = estimates()
    pairs = [
        given[r, i].dot(given[s, j])
        for i, j in itertools.permutations(range(TASKS), 2)
        for r in range(ROUNDS)
        for s in range(ROUNDS)
    ]
    assert signal_and_noise(given).common == pytest.approx(average(pairs))


def test_a_signal_in_noise_is_found():
    """Tasks (3, 1, 0) and (3, -1, 0), noise of 4 in each of three directions, over 40,000 rounds."""
    expected = torch.tensor([[3.0, 1.0, 0.0], [3.0, -1.0, 0.0]])
    noise = 2 * torch.randn(40_000, 2, 3, generator=torch.Generator().manual_seed(1))
    found = signal_and_noise(expected + noise)
    assert found.signal == pytest.approx(10, rel=0.02)
    assert found.noise == pytest.approx(12, rel=0.02)
    assert found.common == pytest.approx(8, rel=0.02)
    assert found.ratio == pytest.approx(10 / 12, rel=0.03)
    assert found.cosine == pytest.approx(10 / 22, rel=0.03)
    assert found.common_share == pytest.approx(0.8, rel=0.03)


def test_a_signal_that_is_not_there_is_nothing_on_average():
    found = [signal_and_noise(estimates(seed)).signal for seed in range(400)]
    assert abs(average(found)) < 3 * torch.tensor(found).std().item() / 20


def test_what_nothing_tells_is_not_known():
    assert all(
        map(math.isnan, (Signal(0, 0, 0).ratio, Signal(0, 0, 0).cosine, Signal(-1, 2, 0).common_share))
    )
