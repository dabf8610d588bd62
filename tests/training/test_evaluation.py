"""Adaptation curves: fresh episodes at every step, the papers' protocols, and the lists of tasks."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import metarl
from metarl.policies.policy import TaskState
from metarl.rollouts.random_keys import EVALUATION
from metarl.training.observers import Observer


@pytest.fixture
def policy(train_small, tmp_path):
    train_small("--training.iterations", "1")
    return metarl.load(tmp_path / "run")


def evaluate(policy, **options):
    tasks = policy.experiment.held_out_tasks(3, 5)
    found = policy.experiment.evaluate(policy.parameters, tasks, episodes=4, steps=2, seed=5, **options)
    return found.curve, found.adapted.parameters


def test_returns_are_those_of_episodes_that_adaptation_did_not_use(policy):
    """The return after k steps is of the rollout with key k, which only step k + 1 learns from."""
    curve, adapted = evaluate(policy)
    experiment = policy.experiment
    tasks = experiment.held_out_tasks(3, 5)
    sampler = experiment.sampler(3, 4)
    last = sampler.collect(TaskState(adapted), tasks, [5, 0, EVALUATION, 2])
    np.testing.assert_allclose(curve.returns[2], last.returns.mean(-1).numpy(), rtol=1e-6)
    noise = [
        sampler.collect(TaskState(adapted), tasks, [5, 0, EVALUATION, step]).actions for step in range(3)
    ]
    assert not torch.equal(noise[0], noise[1])
    assert not torch.equal(noise[1], noise[2])


def test_mean_actions_measure_and_drawn_ones_adapt(policy):
    drawn, by_drawn = evaluate(policy)
    mean, by_mean = evaluate(policy, deterministic=True)
    assert all(torch.equal(by_drawn[n], value) for n, value in by_mean.items())
    assert not np.allclose(drawn.returns, mean.returns)
    experiment = policy.experiment
    tasks = experiment.held_out_tasks(3, 5)
    still = experiment.sampler(3, 4).collect(TaskState(by_mean), tasks, [0], deterministic=True)
    torch.testing.assert_close(still.actions, still.behaviour.mean)
    np.testing.assert_allclose(mean.returns[2], still.returns.mean(-1).numpy(), rtol=1e-6)


def test_held_back_episodes_measure_and_others_adapt(policy):
    """As many at every step and with the same noise, whatever the number of those that a step adapts to."""
    _, by_plain = evaluate(policy)
    shown = []
    held, by_held = evaluate(policy, held_back=6, shown=shown.append)
    assert all(torch.equal(by_plain[n], value) for n, value in by_held.items())
    assert held.episode_returns.shape == (3, 3, 6)
    np.testing.assert_array_equal(np.stack(shown), held.episode_returns)
    tasks = policy.experiment.held_out_tasks(3, 5)
    few = policy.experiment.evaluate(policy.parameters, tasks, episodes=1, steps=2, seed=5, held_back=6)
    np.testing.assert_array_equal(few.curve.returns[0], held.returns[0])
    assert not np.allclose(few.curve.returns[1], held.returns[1])
    still = policy.experiment.evaluate(
        policy.parameters, tasks, episodes=4, steps=1, seed=5, held_back=6, keep_rollouts=True
    )
    torch.testing.assert_close(
        *[(r.actions - r.behaviour.mean)[:, :, 0] / r.behaviour.std[:, :, 0] for r in still.rollouts]
    )


def test_changes_are_those_of_the_last_step_beyond_noise(policy):
    curve, _ = evaluate(policy)
    episodes = np.random.default_rng(0).normal(size=(3, 2, 20))
    episodes[2, 0] -= 9.0
    changes = replace(curve, episode_returns=episodes).changes
    assert changes.worse.tolist() == [True, False]
    assert not changes.better.any()
    assert replace(curve, episode_returns=None).changes is None


def test_later_steps_are_scaled_as_asked(policy, tmp_path):
    halved = metarl.load(tmp_path / "run", later_step_scale=0.5)
    quartered = metarl.load(tmp_path / "run", later_step_scale=0.25)
    (whole, at_whole), (half, at_half), (quarter, _) = map(evaluate, (policy, halved, quartered))
    np.testing.assert_array_equal(whole.returns[:2], half.returns[:2])
    np.testing.assert_array_equal(half.returns[:2], quarter.returns[:2])
    after_one = evaluate_one(policy)
    for name, value in after_one.items():
        torch.testing.assert_close(at_half[name] - value, (at_whole[name] - value) / 2, rtol=1e-3, atol=1e-6)


def evaluate_one(policy):
    tasks = policy.experiment.held_out_tasks(3, 5)
    found = policy.experiment.evaluate(policy.parameters, tasks, episodes=4, steps=1, seed=5)
    return found.adapted.parameters


def test_rollouts_that_were_measured_are_kept_on_request(policy):
    tasks, options = policy.experiment.held_out_tasks(3, 5), {"episodes": 4, "steps": 1, "seed": 5}
    for deterministic in (False, True):
        settings = {**options, "deterministic": deterministic}
        kept = policy.experiment.evaluate(policy.parameters, tasks, keep_rollouts=True, **settings)
        assert policy.experiment.evaluate(policy.parameters, tasks, **settings).rollouts == ()
        for k, rollout in enumerate(kept.rollouts):
            np.testing.assert_allclose(kept.curve.returns[k], rollout.returns.mean(-1).numpy(), rtol=1e-6)
            assert torch.equal(rollout.actions, rollout.behaviour.mean) == deterministic
        assert len(kept.rollouts) == 2


def test_training_tasks_are_those_that_training_draws(train_small, tmp_path):
    drawn = []

    class Tasks(Observer):
        def on_iteration(self, iteration):
            drawn.append(iteration.tasks["goal"])

    train_small("--training.iterations", "2", observers=[Tasks()])
    trained = np.concatenate(drawn)
    found = metarl.load(tmp_path / "run").experiment.training_tasks(5)["goal"]
    np.testing.assert_array_equal(found, trained[:5])
    held_out = metarl.load(tmp_path / "run").experiment.held_out_tasks(5, 3)["goal"]
    assert not np.isin(held_out, trained).any()
