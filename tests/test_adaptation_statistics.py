"""Tests of what noise does, against closed forms and against noise itself."""

import math

import numpy as np
import pytest

from metarl.adaptation.statistics import changed_tasks, episodes_to_tell, holm, over_episodes, sign_test


@pytest.mark.parametrize(
    ("episodes", "quantile"),
    [(2, 12.7062), (3, 4.3027), (4, 3.1824), (5, 2.7764), (10, 2.2622), (21, 2.0860), (1000, 1.9623)],
)
def test_the_interval_over_episodes_is_students(episodes, quantile):
    """Quantiles of the tables for 1, 2, 3, 4, 9, 20 and 999 degrees of freedom."""
    returns = np.random.default_rng(0).normal(3, 2, episodes)
    mean, low, high = over_episodes(returns)
    half = quantile * returns.std(ddof=1) / math.sqrt(episodes)
    assert mean == pytest.approx(returns.mean())
    assert (mean - low, high - mean) == pytest.approx((half, half), rel=3e-5)


@pytest.mark.parametrize("episodes", [2, 5, 10, 20])
def test_the_interval_over_few_episodes_holds_the_mean_of_95_in_100(episodes):
    """1.96 standard errors would hold that of 70, 88, 92 and 94."""
    drawn = np.random.default_rng(1).normal(7, 3, (4000, episodes))
    held = [low <= 7 <= high for _, low, high in map(over_episodes, drawn)]
    assert np.mean(held) == pytest.approx(0.95, abs=0.01)


def test_one_episode_has_a_mean_and_no_interval():
    mean, low, high = over_episodes(np.array([3.0]))
    assert mean == 3
    assert math.isnan(low)
    assert math.isnan(high)


@pytest.mark.parametrize("episodes", [1, 4, 9])
def test_the_sign_test_is_the_binomial_tail(episodes):
    """Every number of pairs below, against the sum of the binomial's terms."""
    for below in range(episodes + 1):
        lower = np.where(np.arange(episodes) < below, -1.0, 1.0)
        expected = math.fsum(math.comb(episodes, i) * 0.5**episodes for i in range(below, episodes + 1))
        assert sign_test(lower, np.zeros(episodes)) == pytest.approx(expected, rel=1e-12)


def test_ties_are_left_out_of_the_sign_test():
    lower, higher = np.array([0.0, 1.0, 2.0, 5.0, 5.0]), np.array([1.0, 2.0, 3.0, 5.0, 5.0])
    assert sign_test(lower, higher) == 1 / 8
    assert sign_test(higher[3:], lower[3:]) == 1.0


def test_the_sign_test_keeps_the_tasks_apart():
    lower = np.array([[0.0, 0.0, 0.0], [0.0, 2.0, 2.0]])
    np.testing.assert_array_equal(sign_test(lower, np.ones((2, 3))), [1 / 8, 7 / 8])


def test_holm_by_hand():
    """Holm 1979: the smallest against level / n, the next against level / (n - 1), until one fails."""
    chances = np.array([0.03, 0.011, 0.02, 0.9])
    np.testing.assert_array_equal(holm(chances, 0.05), [False, True, False, False])
    np.testing.assert_array_equal(holm(np.array([0.03, 0.012, 0.01, 0.016]), 0.05), [True] * 4)
    np.testing.assert_array_equal(
        holm(np.array([[0.013], [0.014], [0.001], [0.9]]), 0.04).ravel(), [1, 1, 1, 0]
    )
    np.testing.assert_array_equal(holm(np.array([0.06, 0.02]), 0.05), [False, True])
    assert not holm(np.array([0.026, 0.03]), 0.05).any()


def test_all_episodes_find_more_than_halves_at_the_same_chance_of_a_false_alarm():
    """One half of the episodes chooses tasks, the other tests them, at Holm's levels over the chosen."""
    rng, worse = np.random.default_rng(0), 4
    found = np.zeros((200, 2))
    for i in range(200):
        before, after = rng.normal(size=(2, 40, 20))
        after[:worse] -= 2.0
        found[i, 0] = changed_tasks(before, after).worse[:worse].mean()
        chosen = np.flatnonzero(after[:, :10].mean(1) < before[:, :10].mean(1))
        tested = holm(sign_test(after[chosen, 10:], before[chosen, 10:]))
        found[i, 1] = (chosen[tested] < worse).sum() / worse
    whole, halves = found.mean(0)
    assert whole > 0.85 > 0.6 > halves


def noise(kind, shape, rng):
    if kind == "heavy":
        return rng.standard_t(2, shape)
    if kind == "skewed":
        return -rng.exponential(5.0, shape)
    return rng.normal(size=shape)


@pytest.mark.parametrize("kind", ["normal", "heavy", "skewed"])
@pytest.mark.parametrize(("tasks", "episodes"), [(1, 20), (40, 20), (40, 5)])
def test_noise_alone_is_called_a_change_as_seldom_as_promised(kind, tasks, episodes):
    """In 2000 evaluations where adaptation did nothing, at most 5 % have a task called worse (or better)."""
    rng, evaluations = np.random.default_rng(0), 2000
    alarms = np.zeros((evaluations, 2), dtype=bool)
    below = 0
    for i in range(evaluations):
        before, after = (noise(kind, (tasks, episodes), rng) for _ in range(2))
        found = changed_tasks(before, after)
        alarms[i] = found.worse.any(), found.better.any()
        below += (after.mean(-1) < before.mean(-1)).sum()
    slack = 3 * math.sqrt(0.05 * 0.95 / evaluations)
    assert (alarms.mean(0) <= 0.05 + slack).all()
    assert below / (evaluations * tasks) == pytest.approx(0.5, abs=0.05)  # what "below" alone calls worse


def test_one_task_alone_is_tested_at_the_level_of_the_binomial():
    """Of 20 pairs, 15 below have a tail of 0.0207 and 14 one of 0.0577: false alarms come at the former."""
    rng = np.random.default_rng(1)
    found = [changed_tasks(*rng.normal(size=(2, 1, 20))).worse.item() for _ in range(20_000)]
    assert np.mean(found) == pytest.approx(0.0207, abs=0.003)


def test_different_spreads_are_no_change():
    rng = np.random.default_rng(2)
    alarms = [changed_tasks(rng.normal(size=(40, 20)), 50 * rng.normal(size=(40, 20))) for _ in range(1000)]
    assert np.mean([one.worse.any() for one in alarms]) <= 0.07


def test_tasks_that_were_made_worse_are_found():
    rng = np.random.default_rng(3)
    before, after = rng.normal(size=(2, 40, 20))
    after[:3] -= 6.0
    after[3:10] += 6.0
    found = changed_tasks(before, after)
    np.testing.assert_array_equal(np.flatnonzero(found.worse), [0, 1, 2])
    np.testing.assert_array_equal(np.flatnonzero(found.better), np.arange(3, 10))


@pytest.mark.parametrize("tasks", [1, 2, 40])
def test_so_many_episodes_can_tell_and_fewer_cannot(tasks):
    enough = episodes_to_tell(tasks)
    for episodes, told in ((enough, True), (enough - 1, False)):
        before, after = np.zeros((2, tasks, episodes))
        after[0] -= 1.0
        assert changed_tasks(before, after).worse.any() == told
