"""E-MAML's gradient is that of the expected return after adaptation, sampling before it included."""

import pytest
import torch

from metarl.math.task_map import TaskMap
from metarl.meta_learners.clipped import ClippedConfig
from metarl.meta_learners.e_maml import EMamlConfig, e_maml, with_credit
from metarl.meta_learners.learner import LearnerState
from metarl.rollout import MetaBatch
from tests.bandit import (
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
from tests.tiny import adam_gradient, sampled_meta_batch, tiny_learner, tiny_state

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
            return vector(adam_gradient(learner.update(LearnerState(named(theta)), batch), named(theta)))
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


def returns_of(batch, values):
    return batch._replace(query=batch.query._replace(returns=torch.tensor(values, dtype=torch.float64)))


def test_a_tasks_credit_is_its_return_above_the_other_tasks():
    learner, _ = tiny_learner("e_maml")
    batch = sampled_meta_batch(learner, tiny_state(learner))
    credit = with_credit(returns_of(batch, [[1, 3], [2, 2], [9, 11]])).query.returns
    spread = (64 / 3) ** 0.5  # of the means 2, 2 and 10
    expected = torch.tensor([[1 - 6, 3 - 6], [2 - 6, 2 - 6], [9 - 2, 11 - 2]], dtype=torch.float64) / spread
    torch.testing.assert_close(credit, expected)


def test_equal_tasks_earn_no_credit_and_one_task_its_return():
    learner, _ = tiny_learner("e_maml")
    batch = sampled_meta_batch(learner, tiny_state(learner))
    equal = with_credit(returns_of(batch, [[1, 3], [2, 2], [0, 4]])).query.returns
    assert (equal.mean(-1) == 0).all()
    query = torch.utils._pytree.tree_map(
        lambda part: part[:1], returns_of(batch, [[5, 7], [0, 0], [0, 0]]).query
    )
    assert with_credit(MetaBatch((), query)).query.returns.tolist() == [[5, 7]]
