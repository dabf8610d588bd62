"""Figures of beliefs draw what encoder and decoder say of an evaluation's trials."""

import numpy as np
import pytest
import torch

import metarl
from metarl.adaptation.figures.beliefs import (
    believed,
    map_figure,
    principal_components,
    rewards_figure,
    spread_figure,
)
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


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    return metarl.train({**SMALL, "run_dir": str(tmp_path_factory.mktemp("run") / "run")}, quiet=True)


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


def test_decoded_rewards_are_the_decoders(loaded):
    evaluation = evaluated(loaded)
    found, theta, rollout = drawn(loaded, evaluation), loaded.parameters, evaluation.rollouts[0]
    z = theta["belief.bias"][:3]
    step = torch.cat((z, *(part[0, 0, 0] for part in (rollout.observations, rollout.actions))))
    x = torch.cat((step, rollout.observations[0, 0, 1]))
    hidden = torch.tanh(theta["rewards.0.weight"] @ x + theta["rewards.0.bias"])
    expected = theta["rewards.output.weight"] @ hidden + theta["rewards.output.bias"]
    assert found.by_prior[0] == pytest.approx(expected.item(), rel=1e-4)
    assert found.rewards[0] == pytest.approx(rollout.rewards[0, 0, 0].item())
    assert len(found.by_end) == sum(one.valid.sum() for one in evaluation.rollouts)
    assert not np.allclose(found.by_end, found.by_prior, atol=1e-5)


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
    before, after = rewards_figure(found, "title").axes
    np.testing.assert_allclose(before.get_lines()[0].get_ydata(), found.by_prior)
    np.testing.assert_allclose(after.get_lines()[0].get_data(), [found.rewards, found.by_end])
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
