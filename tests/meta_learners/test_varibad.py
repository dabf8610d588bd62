"""VariBAD: the bound against a slow loop and finite differences, beliefs against acting, ragged trials."""

from dataclasses import replace

import pytest
import torch

from metarl.compute.task_map import TaskMap
from metarl.errors import ConfigError
from metarl.math.gaussian import DiagonalGaussian
from metarl.meta_learners.registry import META_LEARNERS
from metarl.meta_learners.varibad import belief_loss, beliefs_of, split
from metarl.objectives.belief_draws import belief_draws
from metarl.objectives.beliefs import chain_kl, pick, pick_all, reconstruction
from metarl.policies.belief import numbers_of
from metarl.policies.policy import Transition
from metarl.rollouts.rollout import MetaBatch
from metarl.rollouts.trials import join_trials
from tests.support.tiny import through_a_checkpoint, tiny_policy
from tests.support.tiny_beliefs import (
    CONFIG,
    EPISODES,
    HORIZON,
    LENGTHS,
    POLICY,
    TASKS,
    acted,
    learner,
    mlp,
    parameters,
)


@pytest.mark.parametrize("padding", [0.0, float("nan")])
def test_beliefs_of_a_trial_are_those_of_acting(padding):
    """Every step is encoded, the last ones of episodes too, and nothing stands between."""
    theta = parameters()
    batch, carry = acted(theta, padding)
    trials = join_trials(batch)
    gaussians = beliefs_of(POLICY, theta, trials)
    beliefs = numbers_of(gaussians)
    prior = POLICY.begin_trial(theta, 1, 1)["belief"][0, 0]
    for i, length in enumerate(LENGTHS.sum(1).tolist()):
        torch.testing.assert_close(beliefs[i, 0], prior)
        torch.testing.assert_close(beliefs[i, length], carry["belief"][i, 0])
        known = DiagonalGaussian(*(part[i, :length] for part in gaussians))
        features = POLICY.features(trials.observations[i, :length], known)
        torch.testing.assert_close(
            POLICY.distribution(theta, features).mean, batch.behaviour.mean[i][batch.valid[i]]
        )


def test_a_belief_depends_on_no_later_step():
    theta = parameters()
    trials = join_trials(acted(theta)[0])
    later = trials._replace(rewards=trials.rewards + (torch.arange(8) >= 3).double())
    one, other = (numbers_of(beliefs_of(POLICY, theta, given)) for given in (trials, later))
    assert torch.equal(one[:, :4], other[:, :4])
    assert not torch.allclose(one[2, 4:], other[2, 4:])


def slow_bound(theta, batch, noise):
    """Reconstruction and KL of every trial by loops over prefixes and steps of the episodes."""
    lost, divergences = [], []
    for i in range(TASKS):
        steps = []
        for e in range(EPISODES):
            for t in range(int(LENGTHS[i, e])):
                last = t == LENGTHS[i, e] - 1
                after = batch.final_observations[i, e] if last else batch.observations[i, e, t + 1]
                now = (part[i, e, t] for part in (batch.observations, batch.actions, batch.rewards))
                steps.append((*now, after))
        carry = POLICY.begin_trial(theta, 1, 1)
        normals, before = [], torch.distributions.Normal(torch.zeros(2).double(), torch.ones(2).double())
        divergence = torch.zeros(()).double()
        for t in range(len(steps) + 1):
            if t:
                state, action, reward, after = (x[None, None] for x in steps[t - 1])
                carry = POLICY.observe(theta, carry, Transition(state, action, reward, after, None, None))
            mean, log_variance = carry["belief"][0, 0].chunk(2)
            normals.append(torch.distributions.Normal(mean, (log_variance / 2).exp()))
            divergence = divergence + torch.distributions.kl_divergence(normals[-1], before).sum()
            before = normals[-1]
        error = torch.zeros(()).double()
        for t, normal in enumerate(normals):
            z = normal.mean + normal.stddev * noise[i, t]
            for state, action, reward, after in steps:
                found = mlp(theta, "rewards", torch.cat((z, state, action, after)))
                error = error + (found[0] - reward) ** 2
                error = error + (mlp(theta, "states", torch.cat((z, state, action))) - after).square().mean()
        lost.append(error)
        divergences.append(divergence)
    return torch.stack(lost), torch.stack(divergences)


def bound(theta, trials, config=CONFIG):
    sizes = config.prefixes, config.decodes, EPISODES * HORIZON, 2
    draws = belief_draws(torch.arange(len(trials.valid)), 0, *sizes)
    return belief_loss(POLICY, config, theta, trials, draws)


@pytest.mark.parametrize("padding", [0.0, float("nan")])
def test_the_bound_is_that_of_a_slow_loop(padding):
    """Every prefix, the empty one too, decodes the whole of its own ragged trial, past and future."""
    theta = parameters()
    batch, _ = acted(theta, padding)
    noise = belief_draws(torch.arange(TASKS), 0, 0, 0, EPISODES * HORIZON, 2).noise
    lost, divergences = slow_bound(theta, batch, noise)
    found = bound(theta, join_trials(batch))
    torch.testing.assert_close(found.reconstruction, lost.mean())
    torch.testing.assert_close(found.kl, divergences.mean())


def test_an_update_tells_the_bound_of_its_last_step():
    """Of its only step: at the parameters before it, with the draws of the trials' own seeds."""
    theta, made = parameters(), learner(replace(CONFIG, belief_updates=1))
    batch, _ = acted(theta)
    noise = belief_draws(torch.arange(TASKS) + 17, 0, 0, 0, EPISODES * HORIZON, 2).noise
    lost, divergences = slow_bound(theta, batch, noise)
    told = made.update(made.start(theta), MetaBatch((), batch)).metrics
    assert told["reconstruction"] == pytest.approx(lost.mean().item())
    assert told["belief_kl"] == pytest.approx(divergences.mean().item())


def test_the_bounds_gradient_is_that_of_finite_differences():
    theta = parameters()
    trials = join_trials(acted(theta)[0])
    _, of_beliefs = split(theta)
    assert {name.partition(".")[0] for name in of_beliefs} == {"encoder", "belief", "rewards", "states"}

    def loss(at):
        found = bound(at, trials)
        return found.reconstruction + 0.7 * found.kl

    leaves = {name: value.clone().requires_grad_() for name, value in of_beliefs.items()}
    loss(leaves).backward()
    generator = torch.Generator().manual_seed(5)
    for name, value in of_beliefs.items():
        direction = torch.randn(value.shape, generator=generator, dtype=torch.float64)
        ends = [loss({**of_beliefs, name: value + sign * 1e-6 * direction}) for sign in (1, -1)]
        slope = (ends[0] - ends[1]) / 2e-6
        torch.testing.assert_close((leaves[name].grad * direction).sum(), slope, rtol=1e-5, atol=1e-6)


def test_the_kl_chain_is_closed_and_starts_at_a_standard_normal():
    generator = torch.Generator().manual_seed(0)
    mean, log_std = torch.randn(2, 2, 4, 3, generator=generator, dtype=torch.float64)
    found = chain_kl(DiagonalGaussian(mean, log_std), torch.tensor([3, 1]))
    for i, length in enumerate((3, 1)):
        before, total = torch.distributions.Normal(torch.zeros(3).double(), torch.ones(3).double()), 0.0
        for t in range(length + 1):
            now = torch.distributions.Normal(mean[i, t], log_std[i, t].exp())
            total, before = total + torch.distributions.kl_divergence(now, before).sum(), now
        torch.testing.assert_close(found[i], total)


def test_a_ragged_trial_is_as_it_is_alone():
    """Whatever stands in padding, and beside it."""
    theta = parameters()
    trials = join_trials(acted(theta, float("nan"))[0])
    alone = []
    for i, length in enumerate(LENGTHS.sum(1).tolist()):
        one = type(trials)(*(part[i : i + 1, :length] for part in trials))
        beliefs = beliefs_of(POLICY, theta, one)
        alone.append((beliefs, chain_kl(beliefs, torch.tensor([length]))))
    together = beliefs_of(POLICY, theta, trials)
    kl = chain_kl(together, LENGTHS.sum(1))
    for i, (beliefs, own) in enumerate(alone):
        torch.testing.assert_close(together.mean[i, : beliefs.mean.shape[1]], beliefs.mean[0])
        torch.testing.assert_close(kl[i], own[0])
    assert all(torch.isfinite(part) for part in bound(theta, trials))


def test_every_trial_twice_leaves_the_bound():
    """The KL is a mean over trials as the reconstruction is: beta does not depend on their number."""
    theta = parameters()
    trials = join_trials(acted(theta)[0])
    twice = type(trials)(*(torch.cat((part, part)) for part in trials))
    still = {**theta, "belief.weight": torch.zeros_like(theta["belief.weight"])}
    still["belief.bias"] = torch.tensor([0.3, -0.2, -60.0, -60.0], dtype=torch.float64)  # no noise in z
    found, gradients = [], []
    for given in (trials, twice):
        leaves = {name: value.clone().requires_grad_() for name, value in still.items()}
        found.append(bound(leaves, given))
        sum(found[-1]).backward()
        gradients.append([leaf.grad for leaf in leaves.values() if leaf.grad is not None])
    assert len(gradients[0]) > 5
    for one, other in (*zip(*found, strict=True), *zip(*gradients, strict=True)):
        torch.testing.assert_close(one, other)


def test_drawn_prefixes_and_steps_are_the_trials_own_and_unbiased():
    counts = torch.tensor([1, 4, 9])
    values = torch.arange(9.0).repeat(3, 1) + torch.tensor([[0.0], [10.0], [20.0]])
    exact = torch.stack([values[i, :count].sum() for i, count in enumerate(counts.tolist())])
    every = pick_all(counts, torch.float32)
    torch.testing.assert_close((every.of(values) * every.weight).sum(1), exact)
    uniform = torch.rand(3, 20_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    some = pick(counts, uniform, torch.float32)
    assert (some.places < counts.unsqueeze(-1)).all()
    torch.testing.assert_close((some.of(values) * some.weight).sum(1), exact, rtol=0.02, atol=0.0)


def test_the_decoder_is_asked_about_the_future():
    """What the empty prefix decodes depends on the last reward."""
    theta = parameters()
    trials = join_trials(acted(theta)[0])
    beliefs = beliefs_of(POLICY, theta, trials)
    first = pick_all(torch.ones(TASKS, dtype=torch.int64), torch.float64)
    steps = pick_all(LENGTHS.sum(1), torch.float64)
    inputs, noise = trials.observations, torch.zeros(TASKS, 1, 2).double()

    def lost(rewards):
        return reconstruction(
            lambda z, x: (z.sum(-1) + x.sum(-1)).unsqueeze(-1),
            beliefs,
            noise,
            inputs,
            rewards.unsqueeze(-1),
            first,
            steps,
        )

    moved = trials.rewards.clone()
    moved[2, 7] += 1.0
    assert (lost(moved) != lost(trials.rewards)).tolist() == [False, False, True]


def test_each_objective_moves_its_own_parameters():
    made, theta = learner(), parameters()
    batch = MetaBatch((), acted(theta)[0])
    for key, still in (("belief_learning_rate", 1), ("learning_rate", 0)):
        config = replace(CONFIG, **{key: 1e-30})
        after = learner(config).update(made.start(theta), batch).state.parameters
        moved = [
            any(not torch.allclose(after[name], theta[name], atol=1e-12) for name in part)
            for part in split(theta)
        ]
        assert moved[still] is False
        assert moved[1 - still] is True


def test_the_policy_is_shown_the_beliefs_it_acted_on():
    """The ratio of its first step is 1: the surrogate is the mean of normalised advantages, 0."""
    made, theta = learner(replace(CONFIG, epochs=1, minibatches=1)), parameters()
    metrics = made.update(made.start(theta), MetaBatch((), acted(theta)[0])).metrics
    assert metrics["surrogate_last_minibatch"] == pytest.approx(0.0, abs=1e-12)


def test_an_update_survives_a_checkpoint(tmp_path):
    made, theta = learner(replace(CONFIG, prefixes=3, decodes=4, belief_trials=2)), parameters()
    batch = MetaBatch((), acted(theta)[0])
    once = made.update(made.start(theta), batch)
    assert once.metrics["accepted"] == 1
    assert all(torch.isfinite(torch.tensor(value)) for value in once.metrics.values())
    through = made.update(through_a_checkpoint(once.state, tmp_path), batch).state
    straight = made.update(once.state, batch).state
    for name, value in straight.parameters.items():
        assert torch.equal(through.parameters[name], value)


def test_what_is_not_finite_changes_nothing():
    made, theta = learner(), parameters()
    batch, _ = acted(theta)
    batch.rewards[0, 0, 0] = float("inf")
    state = made.start(theta)
    update = made.update(state, MetaBatch((), batch))
    assert update.state is state
    assert "not finite" in update.rejection


def test_it_takes_a_policy_with_a_belief_alone():
    with pytest.raises(ConfigError, match=r"policy.name: expected belief, got gaussian_mlp"):
        META_LEARNERS["varibad"].of(tiny_policy(), CONFIG, TaskMap())
