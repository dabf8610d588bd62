"""Figures of beliefs draw what encoder and decoder say of an evaluation's trials."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import metarl
from metarl.adaptation.figures.beliefs import (
    believed,
    calibration,
    map_figure,
    principal_components,
    rewards_figure,
    spread_figure,
)
from metarl.adaptation.figures.of_evaluation import episode_figures
from metarl.adaptation.figures.style import png
from metarl.policies.belief import belief_of
from tests.support.tiny import tiny_policy

SMALL = {
    "seed": 3,
    "environment": {"id": "metarl/PointNavigation-v0", "horizon": 8, "options": {"preset": "maml"}},
    "policy": {"name": "belief", "hidden_size": 6, "latent_size": 3, "head_sizes": [5]},
    "sampling": {"tasks": 3, "episodes": 2},
    "meta_learner": {"name": "varibad", "decoder_sizes": [4]},
    "training": {"iterations": 1, "evaluation_tasks": 2, "evaluation_episodes": 1, "evaluation_steps": 1},
}


OF_PEARL = {
    "policy": {"name": "posterior", "encoder_sizes": [6], "latent_size": 3, "hidden_sizes": [5]},
    "sampling": {"tasks": 3, "episodes": 3, "training_tasks": 5},
    "meta_learner": {"name": "pearl", "critic_sizes": [4], "meta_batch": 2, "batch_size": 8},
}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    return metarl.train({**SMALL, "run_dir": str(tmp_path_factory.mktemp("run") / "run")}, quiet=True)


@pytest.fixture(scope="module")
def of_pearl(tmp_path_factory):
    run_dir = str(tmp_path_factory.mktemp("pearl") / "run")
    return metarl.train({**SMALL, **OF_PEARL, "run_dir": run_dir}, quiet=True)


def evaluated(loaded, **settings):
    return metarl.evaluate(loaded, tasks=3, episodes=1, steps=1, seed=4, keep_rollouts=True, **settings)


def drawn(loaded, evaluation):
    return believed(loaded.policy, loaded.parameters, evaluation)


def test_beliefs_are_those_of_acting(loaded):
    """After the trials' first episodes they are what the tasks carried then."""
    evaluation = evaluated(loaded)
    found, carried = drawn(loaded, evaluation), belief_of(evaluation.adapted.carry["belief"])
    first, both = (
        sum(rollout.valid.sum(-1).flatten() for rollout in evaluation.rollouts[:count]) for count in (1, 2)
    )
    assert found.std.shape == (12, both.max() + 1)
    assert np.isnan(found.std).sum(1).tolist() == (both.max() - both).tolist()
    prior = belief_of(loaded.parameters["belief.bias"]).std.mean()
    np.testing.assert_allclose(found.std[:, 0], np.full(12, prior), rtol=1e-6)
    after = found.std[np.arange(12), first.numpy()]
    np.testing.assert_allclose(after, carried.std.mean(-1).flatten(), rtol=1e-5)


def test_posteriors_are_those_of_acting(of_pearl):
    """As beliefs, from N(0, I) on; no rewards are decoded."""
    evaluation = evaluated(of_pearl)
    found, carry = drawn(of_pearl, evaluation), evaluation.adapted.carry
    first = evaluation.rollouts[0].valid.sum(-1).flatten()
    assert found.std.shape[0] == 12
    np.testing.assert_allclose(found.std[:, 0], np.ones(12))
    after = found.std[np.arange(12), first.numpy()]
    np.testing.assert_allclose(after, carry["precision"].rsqrt().mean(-1).flatten(), rtol=1e-4)
    short = evaluation.rollouts[:1]
    means = believed(of_pearl.policy, of_pearl.parameters, replace(evaluation, rollouts=short)).means
    expected = (carry["weighted"] / carry["precision"]).mean(1)
    np.testing.assert_allclose(means, expected, rtol=1e-3, atol=1e-5)
    assert found.rewards is None


def test_what_a_posterior_learned_is_drawn_by_task(of_pearl):
    curve = evaluated(of_pearl).curve
    figures = episode_figures(evaluated(of_pearl), of_pearl.policy, of_pearl.parameters, None, "here")
    assert set(figures) == {"belief_spread", "belief_map"}
    assert len(figures["belief_map"].axes[0].collections[0].get_offsets()) == len(curve.tasks["goal"])


def test_means_by_tenths_are_those_of_a_calibrated_decoder_where_it_says_the_truth():
    told = np.random.default_rng(0).permutation(np.linspace(0, 1, 10_000))
    paid, said = calibration((np.random.default_rng(1).random(10_000) < told).astype(float), told)
    np.testing.assert_allclose(said, np.arange(0.05, 1, 0.1), atol=1e-3)
    np.testing.assert_allclose(paid, said, atol=0.05)
    skewed = calibration(np.array([0.0, 0.0, 9.0] * 10), np.zeros(30))[0]
    assert skewed.tolist() == [3.0] * 10
    np.testing.assert_allclose(calibration(np.ones(4), np.array([3.0, 1.0, 2.0, 0.0]))[1], [0, 1, 2, 3])


def test_decoded_rewards_are_the_decoders(loaded):
    evaluation = evaluated(loaded)
    found, theta, rollout = drawn(loaded, evaluation), loaded.parameters, evaluation.rollouts[0]
    z = theta["belief.bias"][:3]
    step = torch.cat((z, *(part[0, 0, 0] for part in (rollout.observations, rollout.actions))))
    x = torch.cat((step, rollout.observations[0, 0, 1]))
    hidden = torch.tanh(theta["rewards.0.weight"] @ x + theta["rewards.0.bias"])
    expected = theta["rewards.output.weight"] @ hidden + theta["rewards.output.bias"]
    assert found.rewards.by_prior[0] == pytest.approx(expected.item(), rel=1e-4)
    assert found.rewards.paid[0] == pytest.approx(rollout.rewards[0, 0, 0].item())
    assert len(found.rewards.by_end) == sum(one.valid.sum() for one in evaluation.rollouts)
    assert not np.allclose(found.rewards.by_end, found.rewards.by_prior, atol=1e-5)


def test_where_episodes_were_not_kept_the_first_ones_are_drawn(loaded):
    evaluation = metarl.evaluate(loaded, tasks=2, episodes=2, steps=1, keep_rollouts=True)
    assert drawn(loaded, evaluation).std.shape == (8, 9)


def test_a_policy_without_a_belief_has_no_such_figures(loaded):
    assert believed(tiny_policy(), {}, evaluated(loaded)) is None


def test_the_figures_hold_what_was_believed(loaded):
    evaluation = evaluated(loaded)
    found = drawn(loaded, evaluation)
    (axes,) = spread_figure(found, "title").axes
    np.testing.assert_allclose(axes.get_lines()[0].get_ydata(), np.nanmedian(found.std, axis=0))
    figure = map_figure(found, evaluation.curve.tasks, "title")
    for one, goals in zip(figure.axes[:2], evaluation.curve.tasks["goal"].T, strict=True):
        np.testing.assert_allclose(one.collections[0].get_array(), goals)
        np.testing.assert_allclose(one.collections[0].get_offsets(), principal_components(found.means)[0])
    before, after = rewards_figure(found.rewards, "title").axes
    np.testing.assert_allclose(before.get_lines()[0].get_ydata(), found.rewards.by_prior)
    np.testing.assert_allclose(after.get_lines()[0].get_data(), [found.rewards.paid, found.rewards.by_end])
    means = calibration(found.rewards.paid, found.rewards.by_end)
    np.testing.assert_allclose(after.get_lines()[2].get_data(), means)
    assert len(png(figure)) > 1000
    assert map_figure(found, {"body_mass": np.ones((3, 14))}, "title") is None


def test_principal_components_keep_distances_and_come_by_size():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(9, 2)) @ [[3.0, 1.0, 0.0], [0.0, 0.5, 0.2]]
    places, shares = principal_components(points)
    between = [np.linalg.norm(x[:, None] - x[None], axis=-1) for x in (points, places)]
    np.testing.assert_allclose(*between, atol=1e-12)
    assert shares[0] > shares[1] > 0
    assert shares.sum() == pytest.approx(1.0)
    lone, of_one = principal_components(np.array([[1.0], [3.0]]))
    np.testing.assert_allclose(np.abs(lone), [[1.0, 0.0], [1.0, 0.0]])
    np.testing.assert_allclose(of_one, [1.0, 0.0])
