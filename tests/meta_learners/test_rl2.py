"""RL^2: what is computed over a trial is what acting saw, and a trial is one long episode."""

import pytest
import torch

from metarl.compute.task_map import TaskMap
from metarl.errors import ConfigError
from metarl.math.returns import generalised_advantages
from metarl.meta_learners.registry import META_LEARNERS
from metarl.meta_learners.rl2 import Rl2Config, rl2, unroll
from metarl.objectives.trials import trial_loss, trial_targets
from metarl.policies.gaussian_mlp import GaussianMLP
from metarl.policies.policy import TaskState, Transition
from metarl.policies.recurrent import GruPolicy
from metarl.rollouts.rollout import Batch, MetaBatch
from metarl.rollouts.trials import join_trials
from tests.support.tiny import through_a_checkpoint, tiny_policy

POLICY = GruPolicy(3, 2, hidden_size=5, head_sizes=(4,))
CONFIG = Rl2Config(epochs=2, minibatches=2, value_sizes=(4,), learning_rate=1e-2)
LENGTHS = torch.tensor([[4, 2, 3], [1, 4, 4], [4, 4, 1], [2, 2, 2]])
HORIZON = 4


def learner(policy=POLICY):
    return rl2(policy, CONFIG, TaskMap())


def parameters(seed=0, policy=POLICY):
    """In float64, away from where they start."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: value.double() + 0.3 * torch.randn(value.shape, generator=generator, dtype=torch.float64)
        for name, value in learner(policy).initial_parameters(generator).items()
    }


def acted(theta, padding=0.0, policy=POLICY):
    """A batch of ragged episodes, step by step as a sampler asks a policy, and the carry at the end."""
    generator = torch.Generator().manual_seed(1)
    tasks, episodes = LENGTHS.shape
    shape = (tasks, episodes, HORIZON)
    seen = torch.randn(*shape, 3, generator=generator, dtype=torch.float64)
    noise = torch.randn(*shape, 2, generator=generator, dtype=torch.float64)
    rewards = torch.randn(shape, generator=generator, dtype=torch.float64)
    valid = torch.arange(HORIZON) < LENGTHS.unsqueeze(-1)
    carry, means, actions = policy.begin_trial(theta, tasks, 1), torch.zeros_like(noise), noise.clone()
    for e in range(episodes):
        carry = policy.begin_episode(theta, carry, noise[:, :1, 0, :0])
        for t in range(HORIZON):
            distribution, after = policy.act(theta, carry, seen[:, e : e + 1, t])
            action = distribution.draw(noise[:, e : e + 1, t])
            means[:, e, t], actions[:, e, t] = distribution.mean[:, 0], action[:, 0]
            ends = (LENGTHS[:, e : e + 1] - 1) == t
            reward = rewards[:, e : e + 1, t]
            after = policy.observe(theta, after, Transition(seen, action, reward, seen, ends, ends))
            active = valid[:, e : e + 1, t, None]
            carry = {name: torch.where(active, value, carry[name]) for name, value in after.items()}
    log_std = theta["log_std"].expand_as(means)
    behaviour = type(distribution)(means, log_std)
    padded = [
        torch.where(valid.view(*shape, *[1] * (x.ndim - 3)), x, padding) for x in (seen, actions, rewards)
    ]
    log_prob = torch.where(valid, behaviour.log_prob(actions), padding)
    nothing = torch.zeros(tasks, episodes)
    batch = Batch(*padded, nothing, valid, nothing.bool(), seen[:, :, 0], behaviour, log_prob)
    return batch, carry


@pytest.mark.parametrize("padding", [0.0, float("nan")])
@pytest.mark.parametrize(
    "settings", [{}, {"reads_rewards": False}, {"head": "hypernetwork", "latent_size": 3}]
)
def test_a_trial_unrolled_is_what_acting_saw(padding, settings):
    """Whatever stands in padding; the ratio of the first step is 1."""
    policy = GruPolicy(3, 2, hidden_size=5, head_sizes=(4,), **settings)
    theta = parameters(policy=policy)
    batch, _ = acted(theta, padding, policy)
    trials = join_trials(batch)
    distribution, values = unroll(policy, CONFIG, theta, trials)
    for i in range(len(LENGTHS)):
        count = int(LENGTHS[i].sum())
        assert trials.valid[i].tolist() == [True] * count + [False] * (3 * HORIZON - count)
        torch.testing.assert_close(distribution.mean[i, :count], batch.behaviour.mean[i][batch.valid[i]])
        assert trials.last[i].sum() == 3
    targets = trial_targets(trials, values, 0.9, 0.8, TaskMap())
    loss = trial_loss(trials, targets, distribution, values, 0.2)
    assert all(torch.isfinite(part) for part in loss)
    assert loss.surrogate.item() == pytest.approx(0.0, abs=1e-12)


def test_a_hypernetwork_starts_as_one_mlp_whatever_was_seen():
    """Bias-HyperInit: the weights that the bias holds, in an MLP of the observation alone."""
    policy = GruPolicy(3, 2, hidden_size=5, head_sizes=(4,), head="hypernetwork", latent_size=6)
    theta = policy.initial_parameters(torch.Generator().manual_seed(0))
    observations, flat = torch.randn(7, 3), theta["hypernetwork.bias"]
    mlp = GaussianMLP(3, 2, hidden_sizes=(4,))
    names = ("hidden.0.weight", "hidden.0.bias", "mean.weight", "mean.bias")
    sizes = zip(names, flat.split([12, 4, 8, 2]), [(4, 3), (4,), (2, 4), (2,)], strict=True)
    weights = {name: part.view(shape) for name, part, shape in sizes}
    expected = mlp({**weights, "log_std": theta["log_std"]}, observations).mean
    for _ in range(2):
        features = policy.features(theta, torch.randn(7, 5), observations)
        torch.testing.assert_close(policy.distribution(theta, features).mean, expected)
    moved = {**theta, "hypernetwork.weight": torch.randn_like(theta["hypernetwork.weight"])}
    assert not torch.allclose(policy.distribution(moved, features).mean, expected, atol=1e-2)


def test_a_latent_is_a_hypernetworks():
    with pytest.raises(ValueError, match=r"^latent_size: expected it beside head: hypernetwork, got 6 with"):
        GruPolicy(3, 2, latent_size=6)


def test_the_last_steps_outcome_is_seen_in_the_next_episode():
    theta = parameters()
    batch, carry = acted(theta)
    last = batch.actions[0, -1, LENGTHS[0, -1] - 1], batch.rewards[0, -1, LENGTHS[0, -1] - 1]
    torch.testing.assert_close(carry["outcome"][0, 0], torch.cat((last[0], last[1][None], torch.ones(1))))
    again = POLICY.begin_episode(theta, carry, torch.zeros(4, 1, 0))
    assert all(torch.equal(again[name], value) for name, value in carry.items())


def test_advantages_are_those_of_one_long_episode():
    """Episode ends inside a trial cut nothing; nothing leaks from behind its end."""
    batch, _ = acted(parameters())
    trials = join_trials(batch)
    values = torch.randn(trials.rewards.shape, dtype=torch.float64)
    targets = trial_targets(trials, values, 0.9, 0.8, TaskMap())
    found = []
    for i in range(len(LENGTHS)):
        count = int(LENGTHS[i].sum())
        rewards, known = trials.rewards[i, :count], values[i, :count]
        valid = torch.ones(count, dtype=torch.bool)
        found.append(generalised_advantages(rewards, known, torch.zeros(()).double(), valid, 0.9, 0.8))
        torch.testing.assert_close(targets.returns[i, :count], found[-1] + known)
        assert not targets.returns[i, count:].any()
        assert not targets.advantages[i, count:].any()
    whole = torch.cat(found)
    normal = (whole - whole.mean()) / whole.std(correction=0)
    kept = torch.cat([targets.advantages[i, : len(one)] for i, one in enumerate(found)])
    torch.testing.assert_close(kept, normal)


def test_without_recurrence_a_trial_of_one_episode_is_ppo_of_an_mlp(monkeypatch):
    """Heads that see nothing of the memory: losses and gradients of a network of the observation, by hand."""
    monkeypatch.setitem(globals(), "LENGTHS", LENGTHS[:, :1])
    heads, seen_by = ("head.0.weight", "value.0.weight"), POLICY.hidden_size
    theta = parameters()
    moved = {name: value + 0.1 for name, value in theta.items()}
    for name in heads:
        theta[name][:, :seen_by] = moved[name][:, :seen_by] = 0
    trials = join_trials(acted(theta)[0])
    targets = trial_targets(trials, unroll(POLICY, CONFIG, theta, trials)[1], 0.9, 0.8, TaskMap())
    leaves = {name: value.clone().requires_grad_() for name, value in moved.items()}
    found = trial_loss(trials, targets, *unroll(POLICY, CONFIG, leaves, trials), 0.2)
    (0.5 * found.value_loss - found.surrogate).backward()

    plain = {name: value.clone().requires_grad_() for name, value in moved.items()}
    seen, valid = trials.observations[trials.valid], trials.valid

    def hidden(name):
        return (seen @ plain[f"{name}.0.weight"][:, seen_by:].T + plain[f"{name}.0.bias"]).tanh()

    mean = hidden("head") @ plain["mean.weight"].T + plain["mean.bias"]
    density = torch.distributions.Normal(mean, plain["log_std"].exp()).log_prob(trials.actions[valid]).sum(-1)
    ratio, advantage = (density - trials.behaviour_log_prob[valid]).exp(), targets.advantages[valid]
    surrogate = torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage).mean()
    values = (hidden("value") @ plain["value.weight"].T + plain["value.bias"]).squeeze(-1)
    error = torch.nn.functional.huber_loss(values, targets.returns[valid])
    (0.5 * error - surrogate).backward()
    torch.testing.assert_close(found.surrogate, surrogate)
    torch.testing.assert_close(found.value_loss, error)
    for name in (
        "head.0.bias",
        "mean.weight",
        "mean.bias",
        "log_std",
        "value.0.bias",
        "value.weight",
        "value.bias",
    ):
        torch.testing.assert_close(leaves[name].grad, plain[name].grad, msg=name)
    for name in heads:
        torch.testing.assert_close(leaves[name].grad[:, seen_by:], plain[name].grad[:, seen_by:])


def test_losses_are_means_over_steps():
    """Every trial twice leaves them as they are, and their gradients."""
    theta = parameters()
    trials = join_trials(acted(theta)[0])
    twice = type(trials)(*(torch.cat((x, x)) for x in trials))
    moved = {name: value + 0.1 for name, value in theta.items()}
    losses, gradients = [], []
    for given in (trials, twice):
        _, values = unroll(POLICY, CONFIG, theta, given)
        targets = trial_targets(given, values, 0.9, 0.8, TaskMap())
        leaves = {name: value.clone().requires_grad_() for name, value in moved.items()}
        losses.append(trial_loss(given, targets, *unroll(POLICY, CONFIG, leaves, given), 0.2))
        (0.5 * losses[-1].value_loss - losses[-1].surrogate - 0.01 * losses[-1].entropy).backward()
        gradients.append([leaf.grad for leaf in leaves.values()])
    for one, other in (*zip(*losses, strict=True), *zip(*gradients, strict=True)):
        torch.testing.assert_close(one, other)
    assert any(gradient.any() for gradient in gradients[0])


@pytest.mark.parametrize("settings", [{}, {"head": "hypernetwork", "latent_size": 3}])
def test_a_whole_trials_gradient_is_that_of_finite_differences(settings):
    """Through all episodes, of surrogate, value and entropy together, for every parameter."""
    policy = GruPolicy(3, 2, hidden_size=5, head_sizes=(4,), **settings)
    theta = parameters(policy=policy)
    trials = join_trials(acted(theta, float("nan"), policy)[0])
    targets = trial_targets(trials, unroll(policy, CONFIG, theta, trials)[1], 0.9, 0.8, TaskMap())

    def loss(at):
        found = trial_loss(trials, targets, *unroll(policy, CONFIG, at, trials), 0.2)
        return 0.5 * found.value_loss - found.surrogate - 0.01 * found.entropy

    moved = {name: value + 0.01 for name, value in theta.items()}
    leaves = {name: value.clone().requires_grad_() for name, value in moved.items()}
    loss(leaves).backward()
    generator = torch.Generator().manual_seed(5)
    for name, value in moved.items():
        direction = torch.randn(value.shape, generator=generator, dtype=torch.float64)
        high, low = (loss({**moved, name: value + sign * 1e-6 * direction}) for sign in (1, -1))
        found = (leaves[name].grad * direction).sum()
        torch.testing.assert_close(found, (high - low) / 2e-6, rtol=1e-5, atol=1e-8)


def test_an_update_learns_and_survives_a_checkpoint(tmp_path):
    made, theta = learner(), parameters()
    batch = MetaBatch((), acted(theta)[0])
    once = made.update(made.start(theta), batch)
    assert once.metrics["accepted"] == 1
    assert all(torch.isfinite(torch.tensor(value)) for value in once.metrics.values())
    through = made.update(through_a_checkpoint(once.state, tmp_path), batch).state
    straight = made.update(once.state, batch).state
    for name, value in straight.parameters.items():
        assert torch.equal(through.parameters[name], value)
        assert not torch.equal(value, theta[name]) or not value.any()


def test_adaptation_leaves_the_parameters():
    theta = parameters()
    state = TaskState(theta, {"hidden": torch.zeros(1, 5)}, 1)
    after = learner().adapt(state, acted(theta)[0])
    assert after.parameters is theta
    assert after.carry is state.carry
    assert after.adaptations == 2


def test_what_is_not_finite_changes_nothing():
    made, theta = learner(), parameters()
    batch, _ = acted(theta)
    batch.rewards[0, 0, 0] = float("inf")
    state = made.start(theta)
    update = made.update(state, MetaBatch((), batch))
    assert update.state is state
    assert "not finite" in update.rejection


def test_it_takes_a_policy_with_memory_alone():
    with pytest.raises(ConfigError, match=r"policy.name: expected gru, got gaussian_mlp"):
        META_LEARNERS["rl2"].of(tiny_policy(), CONFIG, TaskMap())
