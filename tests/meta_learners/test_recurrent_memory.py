"""Recurrent SAC's memory of whole trials, its updates from it, and the bound of its actions."""

import math
from dataclasses import replace

import gymnasium
import numpy as np
import pytest
import torch

import metarl.rollouts.replay as replay_module
from metarl.compute.task_map import Reduction, TaskMap
from metarl.errors import ConfigError
from metarl.experiment.build import build_experiment, check_action_bound
from metarl.experiment.config import read_config
from metarl.meta_learners.outer.recurrent_soft import distribution, seen_in
from metarl.meta_learners.outer.trial_draws import TrialDraws, nothing_done, rows_of, whole_trials
from metarl.policies.squashed_gru import SquashedGruPolicy
from tests.support.tiny_memory import memory_learner, sampled

POLICY = SquashedGruPolicy(3, 2, hidden_size=4, hidden_sizes=(6,))
ONE = TaskMap(None, 1)


def test_the_memory_gives_trials_back_as_they_were_acted():
    made = memory_learner("recurrent_sac")
    theta = made.initial_parameters(torch.Generator().manual_seed(1))
    query = sampled(made, theta, (3, 1, 4)).query
    replay = nothing_done(made.policy, Reduction()).append(rows_of(query, 2, ONE))
    assert sorted(set(replay.own.column("slot").tolist())) == [8, 9, 10, 11]
    trials = TrialDraws(replay.own, ONE).draw(9, torch.Generator().manual_seed(0))
    assert trials.valid.sum() == query.valid.sum() == replay.length
    assert trials.last.sum() == query.valid.any(-1).sum()
    found = distribution(made.policy, theta, seen_in(made.policy, trials)).log_prob(
        torch.nn.functional.pad(trials.steps.actions, (0, 0, 0, 1))
    )
    acted = query.behaviour_log_prob[query.valid].sort().values
    torch.testing.assert_close(found[:, :-1][trials.valid].sort().values, acted, rtol=1e-4, atol=1e-4)


def test_a_trial_whose_beginning_has_left_the_memory_is_not_drawn(monkeypatch):
    made = memory_learner("recurrent_sac")
    nothing = nothing_done(made.policy, Reduction())
    monkeypatch.setattr(replay_module, "CHUNK_BYTES", 4 * nothing.latest.row_bytes)
    query = sampled(made, made.initial_parameters(torch.Generator().manual_seed(1)), (3, 1, 4)).query
    rows = rows_of(query, 0, ONE)
    replay = nothing.append(rows)
    first = int((rows["slot"] == 0).sum())
    assert whole_trials(replay.own).labels.tolist() == [0, 1, 2, 3]
    shorter = replay.without_oldest(replay.length - first)
    assert 0 < replay.length - shorter.length < first
    assert whole_trials(shorter.own).labels.tolist() == [1, 2, 3]


def test_an_update_learns_and_none_is_made_before_learning_starts():
    made = memory_learner("recurrent_sac")
    theta = made.initial_parameters(torch.Generator().manual_seed(0))
    query = sampled(made, theta, (3, 1, 4))
    update = made.update(made.start(theta), query)
    assert update.metrics["gradient_steps"] == math.floor(0.1 * query.query.valid.sum())
    assert update.metrics["accepted"] == 1.0
    assert all(math.isfinite(value) for value in update.metrics.values())
    assert all(not torch.equal(value, theta[name]) for name, value in update.state.parameters.items())
    waiting = memory_learner("recurrent_sac", learning_starts=1000)
    still = waiting.update(waiting.start(theta), query)
    assert still.metrics["gradient_steps"] == 0.0
    assert all(torch.equal(value, theta[name]) for name, value in still.state.parameters.items())


def test_what_is_not_finite_changes_no_parameters():
    made = memory_learner("recurrent_sac", learning_rate=1e30)
    theta = made.initial_parameters(torch.Generator().manual_seed(0))
    update = made.update(made.start(theta), sampled(made, theta, (3, 1, 4)))
    assert "not finite" in update.rejection
    assert update.state.parameters is theta


def test_actions_stay_within_their_bound_and_rewards_may_be_unseen():
    policy = replace(POLICY, action_bound=0.4, reads_rewards=False)
    theta = {name: 30 * value for name, value in policy.initial_parameters(torch.Generator()).items()}
    found, _ = policy.act(theta, policy.begin_trial(theta, 2, 1), torch.ones(2, 1, 3))
    assert found.draw(torch.randn(50, 2, 1, 2)).abs().max() <= 0.4
    told = policy.outcomes(torch.ones(1, 2), torch.tensor([7.0]), torch.tensor([True]))
    assert told.tolist() == [[1.0, 1.0, 0.0, 1.0]]


def test_a_bound_that_is_not_the_environments_is_refused():
    config = read_config("point_navigation/recurrent_sac", {"policy.action_bound": 2.0})
    with pytest.raises(ConfigError, match=r"policy\.action_bound: expected 1, that of the environment's box"):
        build_experiment(config)
    uneven = gymnasium.spaces.Box(np.float32([-1, -2]), np.float32([1, 2]))
    with pytest.raises(ConfigError, match="expected a box that is the same in all actions"):
        check_action_bound(POLICY, uneven)
