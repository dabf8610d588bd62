"""PEARL: what is remembered of trials, what gradient steps draw from it, and what the policy carries."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from metarl.compute.reduction import Reduction
from metarl.compute.task_map import TaskMap
from metarl.errors import ConfigError
from metarl.math.gaussian import DiagonalGaussian
from metarl.meta_learners.learner import named_tensors
from metarl.meta_learners.outer.replay_draws import nothing_done, pools_of, rows_of
from metarl.meta_learners.outer.soft_actor_critic import posterior_of
from metarl.meta_learners.pearl import PearlConfig, pearl
from metarl.meta_learners.registry import META_LEARNERS
from metarl.policies.policy import TaskState, Transition
from metarl.policies.posterior import PosteriorPolicy
from metarl.rollouts import replay as replay_module
from metarl.rollouts.rollout import SEED, Batch, MetaBatch, with_slots
from tests.support.tiny import through_a_checkpoint, tiny_policy

POLICY = PosteriorPolicy(3, 2, latent_size=2, encoder_sizes=(6,), hidden_sizes=(7,), exploration_episodes=1)
CONFIG = PearlConfig(critic_sizes=(5,), replay_ratio=0.2, meta_batch=3, batch_size=8, context_steps=4)
LENGTHS = torch.tensor([[4, 2], [1, 4], [3, 3]])
HORIZON, ONE = 4, TaskMap()
NOTHING = nothing_done(POLICY, Reduction())


def learner(config=CONFIG):
    return pearl(POLICY, config, TaskMap())


def batch(seed=0, slots=None, padding=math.nan):
    """Trials of two episodes of three tasks; one episode terminates, the others are cut."""
    generator = torch.Generator().manual_seed(seed)
    shape = (*LENGTHS.shape, HORIZON)
    valid = torch.arange(HORIZON) < LENGTHS.unsqueeze(-1)
    seen, final = torch.randn(*shape, 3, generator=generator), torch.randn(3, 2, 3, generator=generator)
    actions, rewards = torch.randn(*shape, 2, generator=generator), torch.randn(shape, generator=generator)
    padded = [
        torch.where(valid.view(*shape, *[1] * (x.ndim - 3)), x, padding) for x in (seen, actions, rewards)
    ]
    terminated = torch.tensor([[True, False], [False, False], [False, False]])
    behaviour = DiagonalGaussian(actions, actions)
    extras = {SEED: torch.arange(3) + seed}
    found = Batch(*padded, rewards, valid, terminated, final, behaviour, rewards, extras)
    whole = MetaBatch((), found)
    return whole if slots is None else with_slots(whole, torch.tensor(slots))


def test_a_memory_holds_every_step_with_its_successor_and_no_padding():
    given = batch(slots=[5, 0, 9]).query
    rows = rows_of(given, POLICY, 3, ONE)
    assert all(torch.isfinite(value.double()).all() for value in rows.values())
    assert rows["slot"].tolist() == [5] * 6 + [0] * 5 + [9] * 6
    assert rows["trial"].tolist() == [3] * 17
    assert (
        rows["explores"].tolist()
        == [True] * 4 + [False] * 2 + [True] + [False] * 4 + [True] * 3 + [False] * 3
    )
    assert rows["terminated"].nonzero().squeeze(1).tolist() == [3]
    last, inner = 3, [0, 1, 2]
    assert torch.equal(rows["next_observations"][last], given.final_observations[0, 0])
    assert torch.equal(rows["next_observations"][inner], rows["observations"][[1, 2, 3]])
    assert torch.equal(rows["rewards"][6:7], given.rewards[1, 0, :1])


def test_tasks_that_do_not_come_again_are_tasks_of_their_own():
    given = batch().query
    assert [sorted(set(rows_of(given, POLICY, trial, ONE)["slot"].tolist())) for trial in (0, 2)] == [
        [0, 1, 2],
        [6, 7, 8],
    ]


def test_contexts_are_the_latest_exploration_of_the_same_task():
    replay = NOTHING
    for trial, slots in enumerate(([5, 0, 9], [0, 5, 2])):
        replay = replay.append(rows_of(batch(trial, slots).query, POLICY, trial, ONE))
    pools = pools_of(replay.own, True)
    assert pools.steps.labels.tolist() == pools.contexts.labels.tolist() == [0, 2, 5, 9]
    for i, (label, explored, total) in enumerate(((0, 4, 11), (2, 3, 6), (5, 1, 11), (9, 3, 6))):
        rows = pools.contexts.rows[pools.contexts.starts[i] :][: pools.contexts.counts[i]]
        assert len(rows) == explored
        assert set(replay.own.column("slot")[rows].tolist()) == {label}
        assert replay.own.column("explores")[rows].all()
        assert set(replay.own.column("trial")[rows].tolist()) == {0 if label == 9 else 1}
        assert pools.steps.counts[i] == total


def test_contexts_are_of_all_episodes_of_the_latest_trial_where_asked():
    replay = NOTHING
    for trial, slots in enumerate(([5, 0, 9], [0, 5, 2])):
        replay = replay.append(rows_of(batch(trial, slots).query, POLICY, trial, ONE))
    contexts = pools_of(replay.own, False).contexts
    assert (contexts.labels.tolist(), contexts.counts.tolist()) == ([0, 2, 5, 9], [6, 6, 5, 6])


def test_a_task_whose_exploration_has_left_the_memory_is_not_drawn(monkeypatch):
    monkeypatch.setattr(replay_module, "CHUNK_BYTES", 4 * NOTHING.latest.row_bytes)
    replay = NOTHING.append(rows_of(batch(0, [5, 0, 9]).query, POLICY, 0, ONE)).without_oldest(12)
    assert (replay.length, replay.own.column("slot")[0]) == (13, 5)
    pools = pools_of(replay.own, True)
    assert pools.steps.labels.tolist() == pools.contexts.labels.tolist() == [0, 9]
    assert not (replay.own.column("slot")[pools.steps.rows] == 5).any()


def test_a_memory_has_its_capacity_and_gradient_steps_are_of_all_steps_ever(monkeypatch):
    monkeypatch.setattr(replay_module, "CHUNK_BYTES", 4 * NOTHING.latest.row_bytes)
    made = learner(replace(CONFIG, replay_capacity=20))
    state, steps = made.start(made.initial_parameters(torch.Generator().manual_seed(0))), []
    for seed in range(3):
        update = made.update(state, batch(seed, [5, 0, 9]))
        state, steps = update.state, [*steps, update.metrics["gradient_steps"]]
    assert (update.metrics["replay_rows"], state.replay.ever) == (23, 51)
    assert sum(steps) == math.floor(51 * 0.2)


@pytest.mark.parametrize(("starts", "expected"), [(0, 6), (10, 4), (100, 0)])
def test_gradient_steps_add_up_to_the_replay_ratio(starts, expected):
    config = PearlConfig(replay_ratio=0.2, learning_starts=starts)
    lengths = [0, 7, 9, 14, 23, 30]
    assert sum(config.gradient_steps(*pair) for pair in pairwise(lengths)) == expected


def test_what_acting_carries_is_the_posterior_of_all_steps():
    theta = learner().initial_parameters(torch.Generator().manual_seed(1))
    rows = rows_of(batch(slots=[0, 1, 2]).query, POLICY, 0, ONE)
    carry = POLICY.begin_trial(theta, 1, 1)
    for i in range(17):
        row = {name: value[i].view(1, 1, *value.shape[1:]) for name, value in rows.items()}
        step = (row["observations"], row["actions"], row["rewards"], row["next_observations"])
        carry = POLICY.observe(theta, carry, Transition(*step, row["terminated"], row["terminated"]))
    columns = ("observations", "actions", "rewards", "next_observations")
    context = POLICY.encoded(*(rows[name] for name in columns)).unsqueeze(0)
    posterior = posterior_of(POLICY, theta, context)
    noise = torch.randn(1, 1, 2, generator=torch.Generator().manual_seed(2))
    begun = POLICY.begin_episode(theta, {**carry, "episodes": torch.ones(1, 1, 1)}, noise)
    torch.testing.assert_close(begun["latent"][0], posterior.draw(noise[0]))


def test_the_first_episodes_act_on_the_prior_and_the_others_on_the_posterior():
    policy = PosteriorPolicy(3, 2, latent_size=2, exploration_episodes=2)
    theta = policy.initial_parameters(torch.Generator().manual_seed(1))
    noise = torch.randn(5, 4, 1, 2, generator=torch.Generator().manual_seed(2))
    carry, seen = policy.begin_trial(theta, 4, 1), torch.ones(4, 1, 3)
    none = torch.zeros(4, 1)
    for episode in range(4):
        carry = policy.begin_episode(theta, carry, noise[episode])
        assert torch.equal(carry["latent"], noise[episode]) == (episode < 2)
        before = carry["latent"]
        distribution, carry = policy.act(theta, carry, seen)
        step = Transition(seen, distribution.mode, none, seen, none.bool(), none.bool())
        carry = policy.observe(theta, carry, step)
        assert torch.equal(carry["latent"], before)
    again = policy.begin_episode(theta, carry, noise[4])
    assert not torch.equal(again["latent"], before)
    fresh = policy.begin_trial(theta, 4, 1)
    assert not any(value.any() for value in fresh.values())


def test_actions_stay_within_their_bound():
    policy = PosteriorPolicy(3, 2, action_bound=0.4)
    theta = {name: 30 * value for name, value in policy.initial_parameters(torch.Generator()).items()}
    distribution, _ = policy.act(theta, policy.begin_trial(theta, 2, 1), torch.ones(2, 1, 3))
    assert distribution.draw(torch.randn(50, 2, 1, 2)).abs().max() <= 0.4


def test_successors_are_seen_where_they_should_be():
    seen, following = torch.randn(2, 3), torch.randn(2, 3)
    for reads, size in ((False, 6), (True, 9)):
        policy = PosteriorPolicy(3, 2, reads_next_observations=reads)
        encoded = policy.encoded(seen, torch.zeros(2, 2), torch.ones(2), following)
        assert encoded.shape == (2, size)
        policy.factors(policy.initial_parameters(torch.Generator()), encoded)


def test_an_update_learns_and_survives_a_checkpoint(tmp_path):
    made = learner()
    theta = made.initial_parameters(torch.Generator().manual_seed(0))
    once = made.update(made.start(theta), batch(0, [5, 0, 9]))
    assert [once.metrics[name] for name in ("gradient_steps", "replay_rows", "accepted")] == [3, 17, 1]
    assert all(math.isfinite(value) for value in once.metrics.values())
    assert all(not torch.equal(value, theta[name]) for name, value in once.state.parameters.items())
    twice = made.update(once.state, batch(1, [5, 1, 2])).state
    resumed = through_a_checkpoint(once.state, tmp_path)
    again = made.update(resumed, batch(1, [5, 1, 2])).state
    for name, value in {**twice.parameters, **named_tensors(twice.optimiser)}.items():
        assert torch.equal({**again.parameters, **named_tensors(again.optimiser)}[name], value), name
    assert once.state.replay.length == 17
    assert twice.replay.length == again.replay.length == 34


def test_nothing_is_learned_before_learning_starts():
    made = learner(PearlConfig(learning_starts=1000, critic_sizes=(5,)))
    theta = made.initial_parameters(torch.Generator().manual_seed(0))
    update = made.update(made.start(theta), batch())
    assert all(torch.equal(value, theta[name]) for name, value in update.state.parameters.items())
    rate = {"learning_rate": pytest.approx(3e-4)}
    assert update.metrics == {"kl": 0.0, "gradient_steps": 0.0, "replay_rows": 17.0, "accepted": 1.0, **rate}


def test_what_is_not_finite_changes_no_parameters():
    made = learner(PearlConfig(critic_sizes=(5,), replay_ratio=0.2, learning_rate=1e30))
    theta = made.initial_parameters(torch.Generator().manual_seed(0))
    update = made.update(made.start(theta), batch())
    assert "not finite" in update.rejection
    assert update.state.parameters is theta
    after = named_tensors(update.state.optimiser)
    assert all(torch.isfinite(value).all() for value in after.values())
    assert (int(after["iterations"]), update.state.replay.length) == (1, 17)


def test_adaptation_leaves_the_parameters():
    state = TaskState({}, {"precision": torch.zeros(1, 2)}, 1)
    after = learner().adapt(state, batch().query)
    assert after.parameters is state.parameters
    assert after.carry is state.carry
    assert after.adaptations == 2


def test_it_takes_a_policy_with_a_posterior_alone():
    with pytest.raises(ConfigError, match=r"policy.name: expected posterior, got gaussian_mlp"):
        META_LEARNERS["pearl"].of(tiny_policy(), CONFIG, TaskMap())
