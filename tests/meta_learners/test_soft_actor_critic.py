"""Gradient steps on replayed steps: stable-baselines3's where there is nothing to know of a task."""

import gymnasium
import pytest
import torch
from stable_baselines3 import SAC
from stable_baselines3.common.logger import configure
from stable_baselines3.common.type_aliases import ReplayBufferSamples

from metarl.compute.task_map import TaskMap
from metarl.meta_learners.outer.soft_actor_critic import (
    GROUPS,
    LatentSoftConfig,
    Noise,
    SoftDescent,
    critic_parameters,
)
from metarl.meta_learners.outer.soft_steps import soft_start
from metarl.meta_learners.outer.trial_rows import Steps
from metarl.policies.posterior import PosteriorPolicy

ROWS = 32
CONFIG = LatentSoftConfig(
    learning_rate=1e-3, critic_sizes=(16, 16), target_rate=0.02, initial_temperature=0.3
)


class Box(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (3,))
    action_space = gymnasium.spaces.Box(-1, 1, (2,))


def steps(generator, tasks=1, dtype=torch.float32):
    def normal(*shape):
        return torch.randn(tasks, ROWS, *shape, generator=generator, dtype=dtype)

    terminated = torch.rand(tasks, ROWS, generator=generator) < 0.3
    return Steps(normal(3), normal(2).tanh(), normal(), normal(3), terminated)


class Given:
    """A replay buffer that has one answer."""

    def __init__(self, given):
        columns = (given.observations, given.actions, given.next_observations)
        ends, rewards = given.terminated.float(), given.rewards
        self._samples = ReplayBufferSamples(*(x[0] for x in columns), ends[0, :, None], rewards[0, :, None])

    def sample(self, batch_size, env=None):
        return self._samples


def copied(model):
    """The parameters of stable-baselines3's networks by our names."""
    actor, critic = model.policy.actor, model.policy.critic
    theta = {}
    for layer, index in enumerate((0, 2)):
        for part in ("weight", "bias"):
            theta[f"actor.{layer}.{part}"] = getattr(actor.latent_pi[index], part)
    for part in ("weight", "bias"):
        theta[f"actor.2.{part}"] = torch.cat([getattr(head, part) for head in (actor.mu, actor.log_std)])
        for layer, index in enumerate((0, 2, 4)):
            both = [getattr(network[index], part) for network in (critic.qf0, critic.qf1)]
            theta[f"critic.{layer}.{part}"] = torch.stack(both)
    return {name: value.detach().clone() for name, value in theta.items()}


def first_moments(model):
    """Of Adam by our names: gradients that Adam does not turn into signs."""
    moments = {}
    for optimiser in (model.policy.actor.optimizer, model.policy.critic.optimizer):
        moments |= {id(weight): state["exp_avg"] for weight, state in optimiser.state.items()}
    for weight in [*model.policy.actor.parameters(), *model.policy.critic.parameters()]:
        weight.data = moments[id(weight)]
    return copied(model)


@pytest.mark.parametrize("updates", [1, 3])
def test_without_a_latent_it_is_the_soft_actor_critic_of_stable_baselines3(updates):
    networks = {"net_arch": [16, 16]}
    settings = {"learning_rate": 1e-3, "ent_coef": "auto_0.3", "tau": 0.02, "seed": 0, "device": "cpu"}
    model = SAC("MlpPolicy", Box(), policy_kwargs=networks, **settings)
    model.set_logger(configure(None, []))
    policy = PosteriorPolicy(3, 2, latent_size=0, encoder_sizes=(), hidden_sizes=(16, 16))
    generator = torch.Generator().manual_seed(1)
    own = {**policy.initial_parameters(generator), **critic_parameters(policy, CONFIG, generator)}
    theta = {**own, **copied(model)}
    ours = SoftDescent(policy, CONFIG, theta, soft_start(theta, GROUPS), TaskMap())
    for update in range(updates):
        given = steps(generator)
        model.replay_buffer = Given(given)
        torch.manual_seed(update)
        model.train(1, ROWS)
        torch.manual_seed(update)
        noise = [torch.normal(torch.zeros(ROWS, 2), torch.ones(ROWS, 2)).unsqueeze(0) for _ in range(2)]
        losses = ours.step(torch.zeros(1, 0, 6), given, Noise(torch.zeros(1, 0), *noise))
    logged = model.logger.name_to_value
    assert losses.critic.item() == pytest.approx(logged["train/critic_loss"], rel=1e-4)
    # Within its logarithm of 1 - tanh^2 stable-baselines3 adds 1e-6.
    assert losses.actor.item() == pytest.approx(logged["train/actor_loss"], rel=1e-4, abs=1e-4)
    torch.testing.assert_close(ours.steps.parameters["log_temperature"], model.log_ent_coef[0].detach())
    for name, value in copied(model).items():
        torch.testing.assert_close(ours.steps.parameters[name], value, rtol=1e-4, atol=1e-5)
    model.policy.critic, after = model.policy.critic_target, model.policy.critic
    for name, value in ours.steps.state.targets.items():
        torch.testing.assert_close(value, copied(model)[name], rtol=1e-4, atol=1e-5)
    model.policy.critic = after
    moments = {**ours.steps.state.actor.exp_avg, **ours.steps.state.critics.exp_avg}
    for name, value in first_moments(model).items():
        torch.testing.assert_close(moments[name], value, rtol=1e-3, atol=1e-5)


def problem(tasks=2, **settings):
    generator = torch.Generator().manual_seed(3)
    policy = PosteriorPolicy(3, 2, latent_size=2, encoder_sizes=(7,), hidden_sizes=(6,))
    config = LatentSoftConfig(critic_sizes=(5,), learning_rate=1e-3, **settings)
    theta = {**policy.initial_parameters(generator), **critic_parameters(policy, config, generator)}
    theta = {name: value.double() for name, value in theta.items()}
    context = torch.randn(tasks, 9, 6, generator=generator, dtype=torch.float64)
    shapes = ((tasks, 2), (tasks, ROWS, 2), (tasks, ROWS, 2))
    noise = Noise(*(torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes))
    return policy, config, theta, context, steps(generator, tasks, torch.float64), noise


def after(policy, config, theta, context, given, noise):
    descent = SoftDescent(policy, config, theta, soft_start(theta, GROUPS), TaskMap())
    return descent.step(context, given, noise), descent


def twice(values):
    return type(values)(*(torch.cat((part, part)) for part in values))


def test_tasks_taken_twice_change_neither_losses_nor_gradients():
    """The KL is a mean over tasks, as the other losses are."""
    policy, config, theta, context, given, noise = problem(kl_weight=0.7)
    losses, once = after(policy, config, theta, context, given, noise)
    doubled = torch.cat((context, context))
    same, both = after(policy, config, theta, doubled, twice(given), twice(noise))
    torch.testing.assert_close(tuple(losses), tuple(same))
    for group in ("critics", "actor"):
        for name, value in getattr(once.steps.state, group).exp_avg.items():
            torch.testing.assert_close(getattr(both.steps.state, group).exp_avg[name], value)


def judged(theta, *parts):
    """Both critics, one linear layer after the other."""
    x = torch.cat(parts, -1)
    values = []
    for i in range(2):
        first, second = ([theta[f"critic.{n}.{part}"][i] for part in ("weight", "bias")] for n in (0, 1))
        hidden = torch.relu(torch.nn.functional.linear(x, *first))
        values.append(torch.nn.functional.linear(hidden, *second).squeeze(-1))
    return torch.stack(values)


def test_critics_teach_the_encoder_and_the_actor_does_not():
    policy, config, theta, context, given, noise = problem(kl_weight=0.0)
    _, descent = after(policy, config, theta, context, given, noise)
    leaf = theta["encoder.1.weight"].requires_grad_()
    latent = policy.factors(theta, context).product(1).gaussian().draw(noise.latent)
    latent = latent.unsqueeze(1).expand(-1, ROWS, -1)
    with torch.no_grad():
        chosen = policy.distribution(theta, torch.cat((given.next_observations, latent), -1))
        actions, log_prob = chosen.draw_with_log_prob(noise.next_actions)
        values = judged(theta, given.next_observations, latent, actions).min(0).values
        soft = values - theta["log_temperature"].exp() * log_prob
        targets = given.rewards + 0.99 * ~given.terminated * soft
    values = judged(theta, given.observations, latent, given.actions)
    (gradient,) = torch.autograd.grad(0.5 * (values - targets).square().mean((1, 2)).sum(), leaf)
    assert gradient.abs().max() > 1e-6
    torch.testing.assert_close(descent.steps.state.critics.exp_avg["encoder.1.weight"], 0.1 * gradient)


def test_a_step_tells_the_critics_mean_value_and_how_far_posteriors_are_from_the_prior():
    """At the parameters before it; nats are summed over z, and means are over tasks."""
    policy, config, theta, context, given, noise = problem()
    told, _ = after(policy, config, theta, context, given, noise)
    posterior = policy.factors(theta, context).product(1).gaussian()
    normal, unit = torch.distributions.Normal(posterior.mean, posterior.std), torch.distributions.Normal(0, 1)
    latent = posterior.draw(noise.latent).unsqueeze(1).expand(-1, ROWS, -1)
    values = judged(theta, given.observations, latent, given.actions)
    torch.testing.assert_close(told.values, values.mean())
    torch.testing.assert_close(told.kl, torch.distributions.kl_divergence(normal, unit).sum(-1).mean())
    torch.testing.assert_close(told.posterior_std, posterior.std.mean())


def test_the_divergence_from_the_prior_weighs_on_the_encoder_alone():
    policy, config, theta, context, given, noise = problem(kl_weight=0.0)
    _, free = after(policy, config, theta, context, given, noise)
    _, weighed = after(
        policy, LatentSoftConfig(critic_sizes=(5,), kl_weight=1.0), theta, context, given, noise
    )
    for name, value in free.steps.state.critics.exp_avg.items():
        same = torch.allclose(value, weighed.steps.state.critics.exp_avg[name])
        assert same == name.startswith("critic."), name


def test_a_temperature_that_is_not_learned_stays():
    policy, config, theta, context, given, noise = problem(learns_temperature=False)
    _, descent = after(policy, config, theta, context, given, noise)
    assert torch.equal(descent.steps.parameters["log_temperature"], theta["log_temperature"])
