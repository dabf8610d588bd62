"""Reptile against a plain loop of gradient steps."""

import pytest
import torch

from metarl.compute.task_map import select_task
from metarl.errors import NonFiniteError
from metarl.rollouts.rollout import MetaBatch
from tests.support.references import inner_loss, kl
from tests.support.tiny import TASKS, sampled_meta_batch, tiny_learner, tiny_state

SIZES = [0.3, 0.15, 0.15, 0.15, 0.15]


def setup(steps, **settings):
    learner, _ = tiny_learner("reptile", steps, **settings)
    theta = tiny_state(learner)
    return learner, theta, sampled_meta_batch(learner, theta)


def gradient(theta, batch, objective="vpg"):
    leaves = {n: value.detach().requires_grad_() for n, value in theta.items()}
    found = torch.autograd.grad(inner_loss(leaves, batch, objective), list(leaves.values()))
    return dict(zip(leaves, found, strict=True))


def displacement(theta, batch, objective="vpg"):
    """mean_i (theta^K_i - theta): every batch feeds a step, the query batch the last."""
    ends = []
    for i in range(TASKS):
        at = theta
        for size, data in zip(SIZES, [*batch.support, batch.query], strict=False):
            slope = gradient(at, select_task(data, i), objective)
            at = {n: value - size * slope[n] for n, value in at.items()}
        ends.append(at)
    return {n: torch.stack([end[n] - value for end in ends]).mean(0) for n, value in theta.items()}


def test_one_step_is_the_mean_gradient_step():
    learner, theta, batch = setup(1, outer_step_size=0.5)
    assert batch.support == ()
    after = learner.update(learner.start(theta), batch).state.parameters
    slopes = [gradient(theta, select_task(batch.query, i)) for i in range(TASKS)]
    for n, value in theta.items():
        mean = torch.stack([slope[n] for slope in slopes]).mean(0)
        torch.testing.assert_close(after[n], value - 0.5 * 0.3 * mean, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("objective", ["vpg", "lvc"])
@pytest.mark.parametrize("steps", [2, 3, 5])
def test_k_steps_go_part_of_the_way_to_where_a_loop_ends(steps, objective):
    learner, theta, batch = setup(steps, outer_step_size=0.4, inner_objective=objective)
    assert len(batch.support) == steps - 1
    update = learner.update(learner.start(theta), batch)
    expected = displacement(theta, batch, objective)
    for n, value in theta.items():
        moved = update.state.parameters[n]
        torch.testing.assert_close(moved, value + 0.4 * expected[n], rtol=1e-10, atol=1e-12)
    length = torch.cat([value.flatten() for value in expected.values()]).norm().item()
    assert update.metrics["displacement_norm"] == pytest.approx(length)


def test_the_query_batch_feeds_the_last_step():
    learner, theta, batch = setup(3)
    silent = batch.query._replace(advantages=torch.zeros_like(batch.query.advantages))
    short, _, _ = setup(2)
    two = MetaBatch(batch.support[:1], batch.support[1])
    without = learner.update(learner.start(theta), MetaBatch(batch.support, silent)).state.parameters
    expected = short.update(short.start(theta), two).state.parameters
    for n in theta:
        torch.testing.assert_close(without[n], expected[n], rtol=1e-10, atol=1e-12)


RATES = {"linear": [0.45, 0.35, 0.25, 0.15, 0.15], "cosine": [0.45, 0.375, 0.225, 0.15, 0.15]}
"""From 0.45 to 0.15 in three updates, and two more."""


@pytest.mark.parametrize("outer", ["sgd", "adam"])
@pytest.mark.parametrize("shape", RATES)
def test_the_outer_step_size_follows_its_schedule(shape, outer):
    """As learners of the constant rates, one after the other."""
    falling = {"schedule": shape, "schedule_updates": 3, "final_outer_step_size": 0.15}
    learner, theta, batch = setup(2, outer=outer, outer_step_size=0.45, **falling)
    constant, _, _ = setup(2, outer=outer)
    state, expected = learner.start(theta), constant.start(theta)
    for rate in RATES[shape]:
        same_rate, _, _ = setup(2, outer=outer, outer_step_size=rate)
        expected = same_rate.update(expected, batch).state
        state = learner.update(state, batch).state
        for n, value in expected.parameters.items():
            torch.testing.assert_close(state.parameters[n], value, rtol=0, atol=1e-12)


@pytest.mark.parametrize("settings", [{"schedule": "linear"}, {"schedule_updates": 3}])
def test_a_schedule_has_updates(settings):
    with pytest.raises(ValueError, match=r"meta_learner\.schedule_updates: expected an integer > 0"):
        setup(2, **settings)


def test_adam_takes_the_displacement_as_a_gradient():
    learner, theta, batch = setup(3, outer="adam", outer_step_size=0.02)
    leaves = {n: value.clone() for n, value in theta.items()}
    adam = torch.optim.Adam(leaves.values(), lr=0.02)
    state = learner.start(theta)
    for _ in range(2):
        for n, value in displacement(leaves, batch).items():
            leaves[n].grad = -value
        adam.step()
        for leaf in leaves.values():
            leaf.grad = None
        state = learner.update(state, batch).state
        for n, leaf in leaves.items():
            torch.testing.assert_close(state.parameters[n], leaf, rtol=1e-9, atol=1e-11)


def test_a_task_that_overflows_is_named():
    learner, theta, batch = setup(2)
    advantages = batch.query.advantages.clone()
    advantages[1] = float("inf")
    broken = MetaBatch(batch.support, batch.query._replace(advantages=advantages))
    with pytest.raises(NonFiniteError, match="adapted parameters") as raised:
        learner.update(learner.start(theta), broken)
    assert raised.value.task_index == 1


@pytest.mark.parametrize("steps", [1, 3])
def test_its_kl_is_that_of_the_policy_before_adaptation(steps):
    """From the one that sampled the first episodes; the others were sampled by adapted policies."""
    learner, theta, batch = setup(steps, outer_step_size=0.4)
    update = learner.update(learner.start(theta), batch)
    first = (*batch.support, batch.query)[0]
    moved = [kl(update.state.parameters, select_task(first, i)).item() for i in range(TASKS)]
    assert update.metrics["kl"] == pytest.approx(sum(moved) / TASKS, rel=1e-8)
    assert update.metrics["kl"] > 1e-4
    assert update.metrics["accepted"] == 1
