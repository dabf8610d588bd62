"""What stands after an episode's end reaches no value and no gradient."""

import math

import pytest
import torch

from metarl.compute.task_map import TaskMap, select_task
from metarl.math.gaussian import DiagonalGaussian
from metarl.meta_learners.maml import plain_rule
from metarl.meta_learners.outer.curvature import generic_curvature_product
from metarl.objectives.policy_gradient import clipped_surrogate, inner_loss, mean_kl, surrogate
from metarl.rollouts.advantages import AdvantageConfig, compute_advantages
from metarl.rollouts.rollout import MetaBatch, Rollout
from tests.support.tiny import (
    BY_GRADIENT,
    by_adam,
    sampled_meta_batch,
    tiny_batch,
    tiny_learner,
    tiny_parameters,
    tiny_policy,
    tiny_state,
)

GARBAGE = [math.nan, math.inf, 1e30]
BY_TRUST_REGION = ["maml", "anil", "e_maml", "meta_sgd", "imaml", "cavia", "multi_task"]


def padded_with(batch, garbage):
    """The batch with garbage in every entry after an episode's end."""

    def pad(values):
        valid = batch.valid if values.ndim == batch.valid.ndim else batch.valid.unsqueeze(-1)
        return torch.where(valid, values, garbage)

    return batch._replace(
        observations=pad(batch.observations),
        actions=pad(batch.actions),
        advantages=pad(batch.advantages),
        behaviour=DiagonalGaussian(*map(pad, batch.behaviour)),
        behaviour_log_prob=pad(batch.behaviour_log_prob),
    )


def objectives(policy):
    return {
        "surrogate": surrogate(policy),
        "clipped": clipped_surrogate(policy, 0.1),
        "kl": mean_kl(policy),
        "vpg": inner_loss(policy, "vpg"),
        "lvc": inner_loss(policy, "lvc"),
    }


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("name", ["surrogate", "clipped", "kl", "vpg", "lvc"])
def test_an_objective_and_its_derivatives_ignore_padding(name, garbage):
    policy = tiny_policy()
    sampled_by, theta = tiny_parameters(policy, 0), tiny_parameters(policy, 1)
    batch = select_task(tiny_batch(policy, [sampled_by], torch.Generator().manual_seed(0)), 0)
    objective = objectives(policy)[name]

    def derivatives(data):
        gradient, value = torch.func.grad_and_value(objective)(theta, data)
        _, hessian_product = torch.func.jvp(
            lambda at: torch.func.grad(objective)(at, data), (theta,), (sampled_by,)
        )
        return value, gradient, hessian_product

    found, expected = derivatives(padded_with(batch, garbage)), derivatives(padded_with(batch, 0.0))
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("name", "outer"),
    [*((name, "trpo") for name in BY_TRUST_REGION), *((name, "adam") for name in BY_GRADIENT)],
)
def test_an_update_ignores_padding(name, outer):
    steps = 3 if name == "reptile" else 2
    learner, _ = tiny_learner(name, steps, **({} if outer == "trpo" else by_adam(name, 1e-3, epochs=2)))
    theta = tiny_state(learner)
    batch = sampled_meta_batch(learner, theta)

    def update(garbage):
        padded = [padded_with(data, garbage) for data in (*batch.support, batch.query)]
        done = learner.update(learner.start(theta), MetaBatch(tuple(padded[:-1]), padded[-1]))
        assert done.rejection is None
        return done

    found, expected = update(math.nan), update(0.0)
    torch.testing.assert_close(found.state.parameters, expected.state.parameters, rtol=0, atol=0)
    assert found.metrics == expected.metrics


def test_the_generic_curvature_ignores_padding():
    learner, config = tiny_learner("maml", 1)
    theta = tiny_state(learner)
    batch = sampled_meta_batch(learner, theta)
    vector = torch.randn(sum(v.numel() for v in theta.values()), dtype=torch.float64)

    def product(garbage):
        support = tuple(padded_with(data, garbage) for data in batch.support)
        padded, task_map = MetaBatch(support, padded_with(batch.query, garbage)), TaskMap(None, 1)
        adapt, data = plain_rule(learner.policy, config).linearised(theta, padded, task_map)
        return generic_curvature_product(learner.policy, adapt, theta, data, padded.query, task_map)(vector)

    torch.testing.assert_close(product(math.nan), product(0.0), rtol=0, atol=0)


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("bootstrap", [False, True])
def test_advantages_ignore_padding(bootstrap, garbage):
    policy = tiny_policy()
    generator = torch.Generator().manual_seed(0)
    batch = tiny_batch(policy, [tiny_parameters(policy, i) for i in range(2)], generator)
    rewards = torch.randn(batch.valid.shape, generator=generator, dtype=torch.float64)
    ended = torch.zeros(batch.valid.shape[:2], dtype=torch.bool)
    ended[0, 0] = True
    finals = torch.randn(*ended.shape, 3, generator=generator, dtype=torch.float64)

    def advantages(garbage):
        padded = padded_with(batch, garbage)
        rollout = Rollout(
            observations=padded.observations,
            actions=padded.actions,
            rewards=torch.where(batch.valid, rewards, garbage),
            valid=batch.valid,
            terminated=ended,
            truncated=~ended,
            final_observations=finals,
            behaviour=padded.behaviour,
            behaviour_log_prob=padded.behaviour_log_prob,
        )
        config = AdvantageConfig(gae_lambda=0.9, bootstrap_truncated=bootstrap)
        estimated, explained = compute_advantages(rollout, config)
        return estimated.advantages, estimated.returns, explained

    torch.testing.assert_close(advantages(garbage), advantages(0.0), rtol=0, atol=0)
