"""Recurrent SAC: its losses against loops, and SAC where nothing is remembered."""

import math
from dataclasses import replace

import pytest
import torch
from torch.utils._pytree import tree_map

from metarl.compute.task_map import TaskMap
from metarl.meta_learners.outer import soft_actor_critic as plain
from metarl.meta_learners.outer.recurrent_soft import (
    GROUPS,
    RecurrentDescent,
    critic_parameters,
)
from metarl.meta_learners.outer.soft_actor_critic import LatentSoftConfig, Noise, SoftDescent
from metarl.meta_learners.outer.soft_steps import soft_start
from metarl.meta_learners.outer.trial_draws import (
    ReplayedTrials,
)
from metarl.meta_learners.outer.trial_rows import Steps
from metarl.meta_learners.recurrent_sac import RecurrentSacConfig
from metarl.policies.gru import gru_cell
from metarl.policies.posterior import PosteriorPolicy
from metarl.policies.squashed_gru import SquashedGruPolicy

POLICY = SquashedGruPolicy(3, 2, hidden_size=4, hidden_sizes=(6,))
CONFIG = RecurrentSacConfig(
    critic_sizes=(5,), critic_hidden_size=4, learning_rate=1e-3, initial_temperature=0.3, meta_batch=4
)
LENGTHS = (7, 4, 6)
ONE = TaskMap(None, 1)


def problem(dtype=torch.float64, seed=0):
    """Parameters, three trials of unequal lengths, and noise."""
    generator = torch.Generator().manual_seed(seed)
    theta = {
        **POLICY.initial_parameters(generator),
        **critic_parameters(POLICY, CONFIG, 4, generator),
    }
    theta = {name: value.to(dtype) for name, value in theta.items()}

    def normal(*shape):
        return torch.randn(len(LENGTHS), max(LENGTHS), *shape, generator=generator, dtype=dtype)

    valid = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS).unsqueeze(1)
    ends = torch.arange(max(LENGTHS)) == torch.tensor(LENGTHS).unsqueeze(1) - 1
    last = (torch.rand(valid.shape, generator=generator) < 0.4) & valid | ends
    terminated = last & torch.tensor([[True], [False], [True]])
    steps = Steps(normal(3), normal(2).tanh(), normal(), normal(3), terminated)
    noise = torch.randn(len(LENGTHS), max(LENGTHS) + 1, 2, generator=generator, dtype=dtype)
    return theta, ReplayedTrials(steps, last, valid), noise


def start(theta):
    """Target critics that are not the critics, as after many steps."""
    begun = soft_start(theta, GROUPS)
    return begun._replace(targets={name: 0.8 * value + 0.1 for name, value in begun.targets.items()})


def moved(theta, trials, noise, config=CONFIG, begun=None):
    descent = RecurrentDescent(POLICY, config, theta, begun or start(theta), ONE)
    return descent.step(trials, noise), descent


def inputs_of(trials, i):
    """A trial's moments in turn: what is observed, and what the last step did."""
    (observations, actions, rewards, following, _), last = trials.steps, trials.last
    found = []
    for t in range(LENGTHS[i] + 1):
        now = observations[i, t] if t < LENGTHS[i] else following[i, t - 1]
        end = last[i, t - 1].to(now.dtype)
        did = torch.cat((actions[i, t - 1], torch.stack((rewards[i, t - 1], end)))) if t else torch.zeros(4)
        found.append((now, torch.cat((now, did))))
    return found


def remembered_by(theta, name, inputs):
    hidden, states = torch.zeros(4, dtype=torch.float64), []
    for _, x in inputs:
        hidden = gru_cell(theta, name, x, hidden)
        states.append(hidden)
    return states


def values_by_hand(theta, known, observation, action):
    x = torch.cat((known, observation, action))
    found = []
    for critic in range(2):
        hidden = torch.relu(theta["critic.0.weight"][critic] @ x + theta["critic.0.bias"][critic])
        found.append((theta["critic.1.weight"][critic] @ hidden + theta["critic.1.bias"][critic]).squeeze())
    return torch.stack(found)


def losses_by_hand(theta, trials, noise):
    """Critic, actor and temperature losses, a step at a time."""
    alpha, slow = theta["log_temperature"].detach().exp(), start(theta).targets
    errors, climbed, lacking = [], [], []
    for i, length in enumerate(LENGTHS):
        inputs = inputs_of(trials, i)
        acting, judging = (remembered_by(theta, name, inputs) for name in ("gru", "critic.gru"))
        aiming = remembered_by(slow, "critic.gru", inputs)
        drawn = [
            POLICY.distribution(theta, h, o).draw_with_log_prob(e)
            for h, (o, _), e in zip(acting, inputs, noise[i], strict=False)
        ]
        for t in range(length):
            (now, _), (after, _) = inputs[t], inputs[t + 1]
            (action, log_prob), (next_action, next_log_prob) = drawn[t], drawn[t + 1]
            soft = values_by_hand(slow, aiming[t + 1], after, next_action).min() - alpha * next_log_prob
            over = t == length - 1 and bool(trials.steps.terminated[i, t])
            target = trials.steps.rewards[i, t] + (0.0 if over else CONFIG.discount * soft)
            taken = values_by_hand(theta, judging[t], now, trials.steps.actions[i, t])
            errors.append(0.5 * (taken - target.detach()).square().sum())
            climbed.append((alpha * log_prob, judging[t], now, action))
            lacking.append(-theta["log_temperature"] * (log_prob.detach() - 2))
    return torch.stack(errors).mean(), climbed, torch.stack(lacking).mean()


def test_losses_and_gradients_are_those_of_loops_over_trials_and_steps():
    theta, trials, noise = problem()
    losses, descent = moved(theta, trials, noise)
    leaves = {name: value.clone().requires_grad_() for name, value in theta.items()}
    critic, climbed, temperature = losses_by_hand(leaves, trials, noise)
    assert losses.critic.item() == pytest.approx(critic.item(), rel=1e-10)
    after = {**leaves, **{n: v for n, v in descent.steps.parameters.items() if n.startswith("critic.")}}
    known = {i: remembered_by(after, "critic.gru", inputs_of(trials, i)) for i in range(3)}
    states = [known[i][t] for i, length in enumerate(LENGTHS) for t in range(length)]
    actor = torch.stack(
        [
            cost - values_by_hand(after, state, now, action).min()
            for (cost, _, now, action), state in zip(climbed, states, strict=True)
        ]
    ).mean()
    assert losses.actor.item() == pytest.approx(actor.item(), rel=1e-10)
    state = descent.steps.state
    for name, value in start(theta).targets.items():
        torch.testing.assert_close(state.targets[name], torch.lerp(value, after[name].detach(), 0.005))
    for loss, adam in ((critic, state.critics), (actor, state.actor), (temperature, state.temperature)):
        names = list(adam.exp_avg)
        found = torch.autograd.grad(loss, [leaves[n] for n in names], retain_graph=True)
        for name, gradient in zip(names, found, strict=True):
            torch.testing.assert_close(adam.exp_avg[name], 0.1 * gradient, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("value", [1e3, float("nan"), float("inf")])
def test_what_stands_in_padding_means_nothing(value):
    theta, trials, noise = problem()
    losses, once = moved(theta, trials, noise)
    padding = ~trials.valid

    def spoilt(values):
        return torch.where(padding.view(*padding.shape, *[1] * (values.ndim - 2)), value, values)

    steps = Steps(*(spoilt(v) if v.is_floating_point() else v | padding for v in trials.steps))
    beyond = torch.nn.functional.pad(padding, (1, 0))
    louder = torch.where(beyond.unsqueeze(-1), 5.0, noise)
    same, again = moved(theta, ReplayedTrials(steps, trials.last | padding, trials.valid), louder)
    torch.testing.assert_close(tuple(losses), tuple(same))
    for name, expected in once.steps.parameters.items():
        torch.testing.assert_close(again.steps.parameters[name], expected)


def test_trials_taken_twice_change_nothing():
    theta, trials, noise = problem()
    losses, once = moved(theta, trials, noise)
    same, both = moved(
        theta, tree_map(lambda value: torch.cat((value, value)), trials), torch.cat((noise, noise))
    )
    torch.testing.assert_close(tuple(losses), tuple(same))
    for name, value in once.steps.parameters.items():
        torch.testing.assert_close(both.steps.parameters[name], value)


def test_where_nothing_is_remembered_it_is_soft_actor_critic():
    """Without weights on what is remembered; that one is stable-baselines3's, by a test of its own."""
    theta, trials, noise = problem()
    theta = {name: 0 * value if "gru" in name else value.clone() for name, value in theta.items()}
    for name in ("actor.0.weight", "critic.0.weight"):
        theta[name][..., :4] = 0
    steps, _, valid = trials
    following = torch.where(
        (torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS).unsqueeze(1) - 1).unsqueeze(-1),
        torch.nn.functional.pad(steps.observations[:, 1:], (0, 0, 0, 1)),
        steps.next_observations,
    )
    ends = steps.terminated & ~torch.nn.functional.pad(valid[:, 1:], (0, 1))
    rows = steps._replace(next_observations=following, terminated=ends)
    flat = Steps(*(value[valid].unsqueeze(0) for value in rows))
    policy = PosteriorPolicy(3, 2, latent_size=0, encoder_sizes=(), hidden_sizes=(6,))
    own = {
        name: value[..., 4:] if name in ("actor.0.weight", "critic.0.weight") else value
        for name, value in theta.items()
        if "gru" not in name
    }
    of_encoder = policy.initial_parameters(torch.Generator())
    own |= {name: value.double() for name, value in of_encoder.items() if name.startswith("encoder")}
    shared = {key: getattr(CONFIG, key) for key in ("critic_sizes", "learning_rate", "initial_temperature")}
    expected = SoftDescent(
        policy, LatentSoftConfig(**shared, kl_weight=0.0), own, soft_start(own, plain.GROUPS), ONE
    )
    drawn = [noise[:, :-1][valid].unsqueeze(0), noise[:, 1:][valid].unsqueeze(0)]
    empty = torch.zeros(1, 0, 6, dtype=torch.float64)
    theirs = expected.step(empty, flat, Noise(empty[:, :, 0], *drawn))
    losses, descent = moved(theta, trials, noise, begun=soft_start(theta, GROUPS))
    torch.testing.assert_close((losses.critic, losses.actor), (theirs.critic, theirs.actor))
    for name, value in descent.steps.parameters.items():
        if "gru" not in name:
            like = value[..., 4:] if name in ("actor.0.weight", "critic.0.weight") else value
            torch.testing.assert_close(expected.steps.parameters[name], like)


def test_a_temperature_stays_where_it_is_not_learned_and_its_aim_is_in_the_unit_of_the_bound():
    theta, trials, noise = problem()
    _, fixed = moved(theta, trials, noise, replace(CONFIG, learns_temperature=False))
    assert torch.equal(fixed.steps.parameters["log_temperature"], theta["log_temperature"])
    assert POLICY.target_entropy == -2.0
    narrow = replace(POLICY, action_bound=0.1)
    # The entropy of actions that are uniform in their box, less the aim, is the same whatever the box.
    for policy in (POLICY, narrow):
        assert 2 * math.log(2 * policy.action_bound) - policy.target_entropy == pytest.approx(
            2 * math.log(2) + 2
        )
    assert PosteriorPolicy(3, 2, action_bound=0.1).target_entropy == narrow.target_entropy
