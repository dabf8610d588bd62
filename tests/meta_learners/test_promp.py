"""ProMP's gradient where every episode is enumerated: adaptation is a step up the expected return."""

import pytest
import torch

from metarl.math.task_map import TaskMap
from metarl.meta_learners.clipped import ClippedConfig
from metarl.meta_learners.learner import LearnerState
from metarl.meta_learners.promp import PrompConfig, promp
from metarl.rollout import MetaBatch
from tests.bandit import (
    POLICY,
    THETA,
    all_episodes,
    expected_return,
    mean_and_std,
    named,
    return_gradient,
    slope,
    vector,
)
from tests.tiny import adam_gradient

ALPHA, ETA = 0.8, 0.7


def adapted(theta, steps):
    """theta^0 ... theta^K by the exact gradient of the expected return."""
    path = [theta]
    for _ in range(steps):
        path.append(path[-1] + ALPHA * return_gradient(path[-1]))
    return path


def divergence(old, new):
    """KL of two Gaussians."""
    (mean, std), (new_mean, new_std) = mean_and_std(old), mean_and_std(new)
    return (new_std / std).log() + (std**2 + (mean - new_mean) ** 2) / (2 * new_std**2) - 0.5


def learned(theta, steps, objective="lvc"):
    """The learner's gradient and gain at theta, on what the policies adapted from THETA sampled."""
    config = PrompConfig(
        inner_step_size=ALPHA,
        inner_steps=steps,
        inner_objective=objective,
        kl_penalty=ETA,
        clipped=ClippedConfig(epochs=1, clip=0.9),
    )
    learner = promp(POLICY, config, TaskMap(None, 1))
    *support, query = map(all_episodes, adapted(THETA, steps))
    update = learner.update(LearnerState(named(theta)), MetaBatch(tuple(support), query))
    return vector(adam_gradient(update, named(theta))), update.metrics["surrogate_before"]


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_gradient_equals_finite_differences_of_the_expected_return(steps):
    gradient, gain = learned(THETA, steps)
    assert gain == pytest.approx(expected_return(adapted(THETA, steps)[-1]).item(), abs=1e-9)
    exact = slope(lambda theta: expected_return(adapted(theta, steps)[-1]), THETA)
    torch.testing.assert_close(gradient, exact, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("steps", [1, 2])
def test_the_gradient_of_the_log_likelihood_misses_a_part(steps):
    """The "vpg" inner loss takes the same steps, but has another Hessian (section 4)."""
    gradient, gain = learned(THETA, steps, "vpg")
    exact, exact_gain = learned(THETA, steps)
    assert gain == pytest.approx(exact_gain, abs=1e-9)
    assert (gradient - exact).norm() > 0.03 * exact.norm()


@pytest.mark.parametrize("steps", [1, 2])
def test_away_from_the_policy_that_sampled_the_penalty_pulls_back(steps):
    theta = THETA + torch.tensor([0.02, -0.03, 0.02], dtype=torch.float64)
    sampled = adapted(THETA, steps)

    def penalised(at):
        path = adapted(at, steps)
        moved = [divergence(old, new) for old, new in zip(sampled[:-1], path[:-1], strict=True)]
        return expected_return(path[-1]) - ETA * sum(moved) / steps

    gradient, gain = learned(theta, steps)
    assert gain == pytest.approx(penalised(theta).item(), abs=1e-8)
    torch.testing.assert_close(gradient, slope(penalised, theta), rtol=1e-5, atol=1e-7)
    without = slope(lambda at: expected_return(adapted(at, steps)[-1]), theta)
    assert (without - gradient).norm() > 1e-3
