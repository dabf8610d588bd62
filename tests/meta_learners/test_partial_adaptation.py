"""ANIL and CAVIA: what adapts, what does not, and the policy that is told a context."""

from dataclasses import dataclass

import pytest
import torch

from metarl.compute.task_map import TaskMap, select_task
from metarl.errors import ConfigError
from metarl.math.parameters import select
from metarl.meta_learners.cavia import CaviaConfig
from metarl.meta_learners.registry import META_LEARNERS
from metarl.policies.context import ContextPolicy
from metarl.policies.gaussian_mlp import GaussianMLP
from tests.support.references import inner_loss, network
from tests.support.tiny import adapted_by, sampled_meta_batch, tiny_learner, tiny_state


def setup(name, steps=1):
    learner, _ = tiny_learner(name, steps)
    theta = tiny_state(learner)
    batch = sampled_meta_batch(learner, theta)
    return learner, theta, batch, select_task(batch.support[0], 0)


def test_anil_moves_the_head_as_maml_does_and_nothing_else():
    learner, theta, _, support = setup("anil")
    maml, _ = tiny_learner("maml")
    head, all_of_it = adapted_by(learner, theta, support, 0), adapted_by(maml, theta, support, 0)
    for n, value in theta.items():
        if n in ("mean.weight", "mean.bias"):
            torch.testing.assert_close(head[n], all_of_it[n], rtol=1e-12, atol=1e-14)
            assert not torch.equal(head[n], value)
        else:
            assert torch.equal(head[n], value)
            assert not torch.equal(all_of_it[n], value)


def test_anil_moves_the_layers_that_are_named():
    learner, _ = tiny_learner("anil", adapted_layers=("mean", "hidden.1"))
    theta = tiny_state(learner)
    support = select_task(sampled_meta_batch(learner, theta).support[0], 0)
    adapted = adapted_by(learner, theta, support, 0)
    moved = {n for n, value in theta.items() if not torch.equal(adapted[n], value)}
    assert moved == {"mean.weight", "mean.bias", "hidden.1.weight", "hidden.1.bias"}


def test_anils_outer_step_learns_the_body():
    learner, theta, batch, _ = setup("anil")
    after = learner.update(learner.start(theta), batch).state.parameters
    for n, value in theta.items():
        assert not torch.equal(after[n], value)


@pytest.mark.parametrize("steps", [1, 3])
def test_cavia_moves_the_context_alone(steps):
    learner, theta, batch, _ = setup("cavia", steps)
    current, expected = theta, theta["context"]
    for k, data in enumerate(batch.support):
        support = select_task(data, 1)
        at = expected.clone().requires_grad_()
        (slope,) = torch.autograd.grad(inner_loss({**theta, "context": at}, support, "vpg"), at)
        expected = expected - (0.3 if k == 0 else 0.15) * slope
        current = adapted_by(learner, current, support, k)
        torch.testing.assert_close(current["context"], expected, rtol=1e-11, atol=1e-13)
        assert all(torch.equal(current[n], value) for n, value in theta.items() if n != "context")


def test_the_context_starts_at_zero_and_is_as_long_as_asked():
    learner, _ = tiny_learner("cavia", context_size=7)
    state = learner.initial_state(torch.Generator().manual_seed(0)).parameters
    assert torch.equal(state["context"], torch.zeros(7))
    assert state["hidden.0.weight"].shape == (5, 3 + 7)
    assert learner.policy.observation_size == 3


@pytest.mark.parametrize("shape", [(3,), (4, 3), (4, 6, 3), (2, 4, 6, 3)])
def test_told_policy_is_the_network_on_observation_and_context(shape):
    learner, theta, *_ = setup("cavia")
    observations = torch.randn(shape, dtype=torch.float64)
    for found, expected in zip(
        learner.policy(theta, observations), network(theta, observations), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("shape", [(5, 3), (5, 4, 3), (5, 4, 6, 3)])
def test_a_context_for_every_task_equals_a_loop_over_tasks(shape):
    policy = ContextPolicy(GaussianMLP(3 + 2, 2, (6,)), 2)
    single = {n: v.double() for n, v in policy.initial_parameters(torch.Generator().manual_seed(0)).items()}
    parameters = {n: v + 0.3 * torch.randn(5, *v.shape, dtype=torch.float64) for n, v in single.items()}
    observations = torch.randn(shape, dtype=torch.float64)
    together = policy(parameters, observations)
    for i in range(5):
        alone = network(select(parameters, i), observations[i])
        for found, expected in zip(together, alone, strict=True):
            torch.testing.assert_close(found[i], expected, rtol=1e-11, atol=1e-13)


def test_cavia_needs_a_policy_it_can_tell():
    @dataclass(frozen=True)
    class Table:
        observation_size: int = 3

    with pytest.raises(ConfigError, match=r"policy.name: expected gaussian_mlp, got .*Table"):
        META_LEARNERS["cavia"].of(Table(), CaviaConfig(), TaskMap())
