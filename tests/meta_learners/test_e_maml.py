"""E-MAML's gradient is that of the expected return after adaptation, sampling before it included."""

import pytest
import torch

from metarl.compute.reduction import Reduction
from metarl.compute.task_map import TaskMap, select_task
from metarl.meta_learners.e_maml import EMamlConfig, e_maml, relative_returns, with_credit
from metarl.meta_learners.outer.clipped import ClippedConfig
from metarl.rollouts.rollout import MetaBatch
from tests.support.bandit import (
    POLICY,
    THETA,
    all_episodes,
    expected_return,
    mean_and_std,
    named,
    nodes,
    one_episode,
    score,
    slope,
    vector,
)
from tests.support.references import path, ratio
from tests.support.tiny import adam_gradient, sampled_meta_batch, tiny_learner, tiny_state

ALPHA = 0.05


def adapted(theta, z):
    """One "vpg" step on the episode of node z."""
    mean, std = mean_and_std(theta)
    return theta + ALPHA * (mean + std * z).cos() * score(theta, z)


def expected_return_after(theta, steps, n):
    """E over the episodes of every inner step, each sampled by the policy that the ones before it made."""
    if steps == 0:
        return expected_return(theta)
    return sum(
        w * expected_return_after(adapted(theta, z), steps - 1, n) for z, w in zip(*nodes(n), strict=True)
    )


def estimated(theta, steps, n, credit_weight):
    """The learner's gradient, averaged over all that can be sampled."""
    clipped = ClippedConfig(epochs=1)
    config = EMamlConfig(
        inner_step_size=ALPHA, inner_steps=steps, outer="ppo", clipped=clipped, credit_weight=credit_weight
    )
    learner = e_maml(POLICY, config, TaskMap(None, 1))

    def over_episodes(current, support):
        if len(support) == steps:
            batch = MetaBatch(tuple(support), all_episodes(current))
            return vector(adam_gradient(learner.update(learner.start(named(theta)), batch), named(theta)))
        return sum(
            w * over_episodes(adapted(current, z), [*support, one_episode(current, z)])
            for z, w in zip(*nodes(n), strict=True)
        )

    return over_episodes(theta, [])


@pytest.mark.parametrize(("steps", "n"), [(1, 20), (2, 14)])
def test_gradient_equals_finite_differences_of_the_expected_return(steps, n):
    exact = slope(lambda theta: expected_return_after(theta, steps, n), THETA)
    torch.testing.assert_close(estimated(THETA, steps, n, credit_weight=1.0), exact, rtol=0, atol=1e-6)
    without = estimated(THETA, steps, n, credit_weight=0.0)
    assert (without - exact).norm() > 0.04 * exact.norm()


def test_a_tasks_credit_is_its_return_above_the_other_tasks():
    returns = torch.tensor([[1, 3], [2, 2], [9, 11]], dtype=torch.float64)
    spread = (64 / 3) ** 0.5  # of the means 2, 2 and 10
    expected = torch.tensor([[1 - 6, 3 - 6], [2 - 6, 2 - 6], [9 - 2, 11 - 2]], dtype=torch.float64) / spread
    torch.testing.assert_close(relative_returns(returns), expected)


def test_equal_tasks_earn_no_credit_and_one_task_its_return():
    equal = torch.tensor([[1.0, 3.0], [2.0, 2.0], [0.0, 4.0]])
    assert (relative_returns(equal).mean(-1) == 0).all()
    assert relative_returns(torch.tensor([[5.0, 7.0]])).tolist() == [[5, 7]]


@pytest.mark.parametrize("steps", [1, 2])
def test_credit_is_a_sum_over_trajectories_of_any_length(steps):
    """One weight for every step of every task, however soon its episodes end (eq. 4)."""
    learner, config = tiny_learner("e_maml", steps, outer="ppo", clipped=ClippedConfig(epochs=1))
    theta = tiny_state(learner)
    batch = sampled_meta_batch(learner, theta)
    first = batch.support[0]
    valid = first.valid.clone()
    valid[1, :, 2:] = False
    batch = batch._replace(support=(first._replace(valid=valid), *batch.support[1:]))
    without, _ = tiny_learner("e_maml", steps, outer="ppo", clipped=ClippedConfig(epochs=1), credit_weight=0)
    whole, rest = (adam_gradient(one.update(one.start(theta), batch), theta) for one in (learner, without))
    leaves = {n: value.clone().requires_grad_() for n, value in theta.items()}
    credits = relative_returns(batch.query.returns).mean(-1)
    count = sum(data.valid.sum() for data in batch.support) / len(batch.support) / batch.tasks
    total = 0
    for i in range(batch.tasks):
        support = [select_task(data, i) for data in batch.support]
        passed = path("e_maml", leaves, support, config, lambda k: False)
        sums = [ratio(at, data)[data.valid].sum() for at, data in zip(passed[:-1], support, strict=True)]
        total = total + credits[i] * sum(sums) / count / batch.tasks
    expected = torch.autograd.grad(total, list(leaves.values()))
    for (n, value), slope_of_credit in zip(whole.items(), expected, strict=True):
        torch.testing.assert_close(value - rest[n], slope_of_credit, rtol=1e-7, atol=1e-10)


def test_without_support_nothing_is_credited():
    batch = MetaBatch((), all_episodes(THETA))
    assert with_credit(batch, Reduction()) is batch
