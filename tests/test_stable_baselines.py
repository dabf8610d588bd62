"""Out to stable-baselines3 and back."""

import types
from dataclasses import replace

import gymnasium
import numpy as np
import pytest
import torch
from metarl_envs.sb3_vec_env import make_sb3_vec_env
from sb3_contrib import TRPO
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.vec_env import VecNormalize

import metarl
from metarl.policies.context import ContextPolicy, plain_network, start_at, without_context
from metarl.policies.stable_baselines import from_sb3, to_sb3
from tests.support.tiny import tiny_parameters, tiny_policy

pytestmark = pytest.mark.usefixtures("one_thread")

POINT, TASK = "metarl/PointNavigation-v0", {"goal": [0.2, -0.1]}
OBSERVATIONS = np.random.default_rng(0).normal(size=(50, 2))


def adapted_policy(train_small, tmp_path, *overrides):
    """A policy with a std and biases of its own, adapted in two steps."""
    train_small("--training.iterations", "1", *overrides)
    return metarl.load(tmp_path / "run").adapt(single(), TASK, episodes=3, steps=2)


def single():
    env = gymnasium.make(POINT, max_episode_steps=8)
    env.unwrapped.set_task(TASK)
    return env


def native():
    return make_sb3_vec_env(POINT, 4, task=TASK, max_episode_steps=8)


def spread(model):
    return model.policy.get_distribution(torch.zeros(1, 2)).distribution.stddev[0].detach()


@pytest.mark.parametrize("make", [single, native])
@pytest.mark.parametrize("kind", ["PPO", "A2C", PPO])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_the_actor_is_the_adapted_policy(train_small, tmp_path, activation, kind, make):
    adapted = adapted_policy(train_small, tmp_path, "--policy.activation", activation)
    model = adapted.to_sb3(kind, make(), gamma=0.9)
    assert isinstance(model, A2C if kind == "A2C" else PPO)
    assert model.gamma == 0.9
    for dtype in (np.float64, np.float32):
        expected = adapted.predict(OBSERVATIONS.astype(dtype), deterministic=True)[0]
        actions = model.predict(OBSERVATIONS.astype(dtype), deterministic=True)[0]
        np.testing.assert_allclose(actions, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(spread(model), adapted.parameters["log_std"].exp())
    back = from_sb3(model, adapted.policy)
    assert list(back) == list(adapted.parameters)
    assert all(torch.equal(value, adapted.parameters[name]) for name, value in back.items())


@pytest.mark.parametrize("name", ["meta_sgd", "maml_pp", "cavia"])
def test_what_a_learner_adds_is_folded_or_left_out(train_small, tmp_path, name):
    adapted = adapted_policy(train_small, tmp_path, "--meta_learner.name", name)
    if name == "cavia":
        adapted.parameters["context"] += torch.randn(5, generator=torch.Generator().manual_seed(0))
    model = adapted.to_sb3("PPO", native())
    expected = adapted.predict(OBSERVATIONS, deterministic=True)[0]
    np.testing.assert_allclose(model.predict(OBSERVATIONS, deterministic=True)[0], expected, atol=1e-6)
    assert np.ptp(expected, axis=0).min() > 1e-2  # not all alike


@pytest.mark.parametrize("hidden_sizes", [(5, 4), ()])
def test_folding_a_context_is_exact(hidden_sizes):
    policy = ContextPolicy(replace(tiny_policy(), hidden_sizes=hidden_sizes), 2)
    parameters = tiny_parameters(policy)
    plain = without_context(policy, parameters)
    observations = torch.randn(20, 1, dtype=torch.float64)
    for found, expected in zip(
        plain_network(policy)(plain, observations), policy(parameters, observations), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-13)
    fresh = policy.initial_parameters(torch.Generator().manual_seed(1))
    started = start_at(fresh, plain)
    assert torch.equal(started["context"], torch.zeros(2))
    first = policy.network.layer_names[0] + ".weight"
    assert torch.equal(started[first][:, 1:], fresh[first][:, 1:])
    torch.testing.assert_close(
        policy(started, observations.float()).mean, policy(parameters, observations).mean.float()
    )


def test_the_floor_of_the_std_goes_along(train_small, tmp_path):
    adapted = adapted_policy(train_small, tmp_path, "--policy.min_std", "0.5")
    adapted.parameters["log_std"] = torch.log(torch.tensor([0.1, 0.8]))
    torch.testing.assert_close(spread(adapted.to_sb3("PPO", native())), torch.tensor([0.5, 0.8]))


def test_learning_goes_on_from_the_adapted_policy(train_small, tmp_path):
    adapted = adapted_policy(train_small, tmp_path, "--policy.output_gain", "0.1")
    envs = make_sb3_vec_env(POINT, 32, task={"goal": [0.3, -0.4]}, max_episode_steps=20)
    model = adapted.to_sb3("PPO", envs, n_steps=20, batch_size=160, gamma=0.9, learning_rate=3e-3, seed=0)
    before = from_sb3(model, adapted.policy)
    assert all(torch.equal(value, adapted.parameters[name]) for name, value in before.items())
    model.learn(20 * 32 * 16)
    assert np.mean([episode["r"] for episode in model.ep_info_buffer]) > -2.5  # -9 for staying
    after = from_sb3(model, adapted.policy)
    assert not any(torch.equal(value, before[name]) for name, value in after.items())


def test_an_algorithm_of_sb3_contrib_goes_on_too(train_small, tmp_path):
    adapted = adapted_policy(train_small, tmp_path)
    with pytest.raises(ValueError, match=r"with sb3-contrib installed .*'TRPOO'"):
        adapted.to_sb3("TRPOO", single())
    envs = make_sb3_vec_env(POINT, 8, task=TASK, max_episode_steps=8)
    model = adapted.to_sb3("TRPO", envs, n_steps=16, batch_size=32)
    assert type(model) is TRPO
    acted, expected = (one.predict(OBSERVATIONS, deterministic=True)[0] for one in (model, adapted))
    np.testing.assert_allclose(acted, expected, atol=1e-6)
    model.learn(256)
    back = from_sb3(model, adapted.policy)
    assert not any(torch.equal(value, adapted.parameters[name]) for name, value in back.items())


def test_what_does_not_fit_is_told(train_small, tmp_path):
    adapted = adapted_policy(train_small, tmp_path)
    with pytest.raises(ValueError, match=r"on-policy algorithm .*got SAC, whose actor is of another kind"):
        adapted.to_sb3("SAC", single())
    with pytest.raises(ValueError, match=r'such as "PPO".* got \'PPOO\''):
        adapted.to_sb3("PPOO", single())
    with pytest.raises(
        ValueError, match=r"observation and action sizes \(2, 2\), as in training, got \(17, 6\)"
    ):
        adapted.to_sb3("PPO", make_sb3_vec_env("metarl/HalfCheetahVel-v0", 2))
    with pytest.raises(ValueError, match=r"expected the action space of training.*action_scale"):
        adapted.to_sb3("PPO", make_sb3_vec_env(POINT, 2, action_scale=2.0))
    with pytest.raises(
        ValueError, match=r"a stable-baselines3 VecEnv, as .*make_sb3_vec_env makes .*, got .*Vector"
    ):
        adapted.to_sb3("PPO", gymnasium.make_vec(POINT, 2))
    with pytest.raises(ValueError, match="own observations, got VecNormalize's; set norm_obs=False"):
        adapted.to_sb3("PPO", VecNormalize(native()))
    with pytest.raises(ValueError, match=r"policy_kwargs without \['net_arch'\]"):
        adapted.to_sb3("PPO", native(), policy_kwargs={"net_arch": [3]})
    for wrong in ({"n_stepps": 3}, {"n_steps": 1}, {"policy": "CnnPolicy"}):
        with pytest.raises(ValueError, match=rf"settings that PPO takes, got .*{next(iter(wrong))}"):
            adapted.to_sb3("PPO", single(), **wrong)
    with pytest.raises(ValueError, match=r"expected an actor 2-8-8-2 tanh .*leave out use_sde"):
        adapted.to_sb3("PPO", native(), use_sde=True)
    with pytest.raises(ValueError, match=r"expected a Gaussian MLP policy.*got SimpleNamespace"):
        to_sb3("PPO", types.SimpleNamespace(), adapted.parameters, native())
    adapted.to_sb3("PPO", VecNormalize(native(), norm_obs=False))
