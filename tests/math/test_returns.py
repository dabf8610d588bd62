import numpy as np
import pytest
import torch

from metarl.math.returns import (
    discounted_returns,
    generalised_advantages,
    masked_mean,
    normalise_per_task,
    without_padding,
)
from tests.support.slow_advantages import slow_gae


@pytest.mark.parametrize("gae_lambda", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("discount", [0.9, 1.0])
def test_gae_equals_the_slow_sum_whatever_stands_in_the_padding(gae_lambda, discount):
    rng = np.random.default_rng(0)
    lengths, horizon = [7, 3, 1], 7
    rewards, values = rng.normal(size=(2, 3, horizon))
    final_values = rng.normal(size=3)
    valid = np.arange(horizon) < np.array(lengths)[:, None]
    rewards[~valid], values[~valid] = np.nan, 1e30
    result = generalised_advantages(
        *map(torch.from_numpy, (rewards, values, final_values, valid)), discount, gae_lambda
    )
    for i, length in enumerate(lengths):
        following = [*values[i, :length], final_values[i]]
        expected = slow_gae(rewards[i, :length], following, discount, gae_lambda)
        np.testing.assert_allclose(result[i, :length], expected, rtol=1e-12)
        assert (result[i, length:] == 0).all()


def test_gae_of_a_constant_reward_has_the_closed_form():
    """reward 1, values 0, lambda 1: (1 - gamma^(T-t)) / (1 - gamma); with the true value after the end, 0."""
    horizon, discount = 50, 0.9
    rewards = torch.ones(1, horizon, dtype=torch.float64)
    valid = torch.ones(1, horizon, dtype=torch.bool)
    remaining = horizon - torch.arange(horizon, dtype=torch.float64)
    expected = (1 - discount**remaining) / (1 - discount)
    zeros = torch.zeros_like(rewards)
    result = generalised_advantages(rewards, zeros, zeros[:, 0], valid, discount, 1.0)
    torch.testing.assert_close(result[0], expected)
    true_values = torch.full_like(rewards, 1 / (1 - discount))
    exact = generalised_advantages(rewards, true_values, true_values[:, 0], valid, discount, 0.95)
    torch.testing.assert_close(exact, zeros, atol=1e-12, rtol=0)


def test_returns_stop_at_the_episodes_end():
    rewards = torch.tensor([[1.0, 2.0, 4.0], [1.0, 2.0, float("nan")]])
    valid = torch.tensor([[True, True, True], [True, True, False]])
    expected = torch.tensor([[1 + 0.5 * 2 + 0.25 * 4, 2 + 0.5 * 4, 4.0], [2.0, 2.0, 0.0]])
    torch.testing.assert_close(discounted_returns(rewards, valid, 0.5), expected)


def test_an_episode_may_be_one_step_long():
    """Its return is its reward, its advantage r + gamma V(next) - V."""
    rewards = torch.tensor([[2.0], [3.0]], dtype=torch.float64)
    valid = torch.ones(2, 1, dtype=torch.bool)
    assert torch.equal(discounted_returns(rewards, valid, 0.5), rewards)
    final = torch.tensor([10.0, 0.0], dtype=torch.float64)
    found = generalised_advantages(rewards, torch.ones_like(rewards), final, valid, 0.5, 0.7)
    assert found.tolist() == [[6.0], [2.0]]


def test_masked_mean_counts_valid_entries_only():
    values = torch.tensor([[1.0, float("inf")], [3.0, 5.0]])
    assert masked_mean(values, torch.tensor([[True, False], [True, True]])) == 3.0


def test_normalisation_divides_by_the_standard_deviation_of_each_tasks_valid_steps():
    values = 100 * torch.randn(2, 3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 7
    valid = torch.ones(2, 3, 5, dtype=torch.bool)
    valid[0, 1, 2:] = False
    values[0, 1, 2:] = float("nan")
    result = normalise_per_task(values, valid)
    for task in range(2):
        kept = result[task][valid[task]]
        assert abs(kept.mean()) < 1e-12
        assert abs(kept.std(unbiased=False) - 1) < 1e-6
    assert (result[~valid] == 0).all()


def test_differences_far_below_epsilon_stay_small_and_keep_their_sign():
    values = torch.tensor([[[0.0, 1e-12]]], dtype=torch.float64)
    result = normalise_per_task(values, torch.ones(1, 1, 2, dtype=torch.bool), epsilon=1e-8)
    assert result.flatten().tolist() == pytest.approx([-5e-5, 5e-5], rel=1e-3)


def test_padding_becomes_0_and_all_else_stays():
    values = torch.tensor([[1.0, 2.0], [float("nan"), 4.0]])
    assert without_padding(values, torch.tensor([True, False])).tolist() == [[1.0, 2.0], [0.0, 0.0]]
