"""A subclass of the Gaussian MLP computes something else, and is never taken for the plain one."""

import gymnasium
import pytest
import torch

from metarl.compute.task_map import TaskMap
from metarl.errors import ConfigError
from metarl.meta_learners.registry import META_LEARNERS
from metarl.policies.context import ContextPolicy, plain_network, without_context
from metarl.policies.gaussian_mlp import GaussianMLP
from metarl.policies.stable_baselines import to_sb3
from tests.support.policies_of_users import NormalisedMLP, OwnNetwork
from tests.support.tiny import sampled_meta_batch, tiny_state

NETWORK = NormalisedMLP(observation_size=3, action_size=2, hidden_sizes=(5, 4))
STEPS = {"inner_steps": 2}


def learner_of(name, policy):
    registered = META_LEARNERS[name]
    steps = {} if name == "multi_task" else STEPS
    return registered.of(policy, registered.config(inner_step_size=0.3, **steps), TaskMap(2, 2))


@pytest.mark.parametrize("name", ["maml", "e_maml", "multi_task"])
def test_the_trust_region_knows_a_subclasss_own_curvature(name):
    learner, own = learner_of(name, NETWORK), learner_of(name, OwnNetwork(NETWORK))
    theta = tiny_state(learner)
    batch = sampled_meta_batch(learner, theta)
    update, expected = (one.update(one.start(theta), batch) for one in (learner, own))
    assert update.rejection is None
    torch.testing.assert_close(update.state.parameters, expected.state.parameters, rtol=0, atol=0)


def test_cavias_policy_keeps_a_subclasss_layers():
    learner = learner_of("cavia", NETWORK)
    theta = tiny_state(learner)
    scaled = {**theta, "gain": 2 * theta["gain"]}
    observations = torch.randn(7, 3, dtype=torch.float64)
    assert not torch.equal(
        learner.policy(theta, observations).mean, learner.policy(scaled, observations).mean
    )
    update = learner.update(learner.start(theta), sampled_meta_batch(learner, theta))
    assert update.rejection is None


def test_cavia_refuses_a_policy_of_another_kind():
    with pytest.raises(ConfigError, match="expected gaussian_mlp, got OwnNetwork"):
        learner_of("cavia", OwnNetwork(NETWORK))


@pytest.mark.parametrize("policy", [NETWORK, ContextPolicy(NormalisedMLP(5, 2, (5, 4)), 2)])
def test_stable_baselines3_gets_no_policy_that_it_cannot_express(policy):
    env = gymnasium.make("metarl/PointNavigation-v0")
    parameters = policy.initial_parameters(torch.Generator())
    for refused in (
        lambda: plain_network(policy),
        lambda: without_context(policy, parameters),
        lambda: to_sb3("PPO", policy, parameters, env),
    ):
        with pytest.raises(ValueError, match=r"expected a Gaussian MLP policy.* got NormalisedMLP"):
            refused()


def test_a_plain_policys_network_is_itself():
    plain = GaussianMLP(3, 2, (5, 4), "relu")
    assert plain_network(plain) == plain
    told = ContextPolicy(GaussianMLP(5, 2, (5, 4), "relu"), 2)
    assert plain_network(told) == plain
