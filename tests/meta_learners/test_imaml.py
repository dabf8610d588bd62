"""iMAML against an inner problem that a plain loop solves."""

import pytest
import torch

from metarl.math.parameters import flatten, unflatten
from metarl.meta_learners.clipped import ClippedConfig
from metarl.meta_learners.imaml import CENTRE, own
from metarl.meta_learners.learner import LearnerState
from metarl.rollout import select_task
from tests.references import inner_loss, surrogate
from tests.tiny import adam_gradient, sampled_meta_batch, tiny_learner, tiny_state

STRENGTH, SOLVER_STEPS, STEP_SIZE = 25.0, 40, 0.04
EXACT = {
    "outer": "ppo",
    "clipped": ClippedConfig(epochs=1),
    "inner_step_size": STEP_SIZE,
    "later_step_scale": 1.0,
    "regularisation": STRENGTH,
    "solver_steps": SOLVER_STEPS,
    "solution_cg_iterations": 60,
    "solution_cg_tolerance": 1e-26,
}


def setup(steps, **settings):
    learner, config = tiny_learner("imaml", steps, **{**EXACT, **settings})
    theta = tiny_state(learner)
    return learner, config, theta, sampled_meta_batch(learner, theta)


def solved(theta, support, start=None, steps=SOLVER_STEPS):
    """argmin L(phi) + lambda/2 |phi - theta|^2 by gradient descent."""
    phi = start or theta
    for _ in range(steps):
        phi = {n: value.detach().requires_grad_() for n, value in phi.items()}
        distance = sum((phi[n] - value).square().sum() for n, value in theta.items())
        problem = inner_loss(phi, support, "lvc") + STRENGTH / 2 * distance
        slopes = torch.autograd.grad(problem, list(phi.values()))
        phi = {n: (value - STEP_SIZE * g).detach() for (n, value), g in zip(phi.items(), slopes, strict=True)}
    return phi


def outer_gain(theta, batch):
    """J(phi*(theta)), every inner step a problem around theta on its own episodes."""
    gains = []
    for i in range(batch.tasks):
        phi = theta
        for data in batch.support:
            phi = solved(theta, select_task(data, i), phi)
        gains.append(surrogate(phi, select_task(batch.query, i), None))
    return torch.stack(gains).mean()


@pytest.mark.parametrize("steps", [1, 2])
def test_gradient_equals_finite_differences_through_the_solution(steps):
    learner, _, theta, batch = setup(steps)
    update = learner.update(LearnerState(theta), batch)
    gradient, at, epsilon = flatten(adam_gradient(update, theta)), flatten(theta), 1e-4
    generator = torch.Generator().manual_seed(1)
    for direction in torch.randn(3, len(at), generator=generator, dtype=torch.float64):
        high, low = (outer_gain(unflatten(at + sign * epsilon * direction, theta), batch) for sign in (1, -1))
        assert (gradient @ direction).item() == pytest.approx(((high - low) / (2 * epsilon)).item(), rel=1e-5)
    assert update.metrics["solution_cg_residual"] < 1e-8
    assert update.metrics["inner_residual"] < 1e-8
    assert update.metrics["surrogate_before"] == pytest.approx(outer_gain(theta, batch).item(), rel=1e-8)


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_an_inner_step_goes_on_with_the_same_problem_around_the_same_centre(steps):
    learner, _, theta, batch = setup(steps, solver_steps=4)
    current = expected = theta
    for k, data in enumerate(batch.support):
        support = select_task(data, 0)
        current = learner.inner_step(current, support, k)
        expected = solved(theta, support, expected, steps=4)
        for n, value in theta.items():
            torch.testing.assert_close(current[n], expected[n], rtol=1e-10, atol=1e-12)
            assert torch.equal(current[CENTRE + n], value)
    assert list(own(current)) == list(theta)


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_unsolved_gradient_is_the_linear_system_where_it_stopped(steps):
    """(I + H / lambda)^-1 g with a dense Hessian at the last point, whether or not it is the solution."""
    learner, _, theta, batch = setup(steps, solver_steps=3)
    update = learner.update(LearnerState(theta), batch)
    expected, size = [], len(flatten(theta))
    for i in range(batch.tasks):
        phi = theta
        for data in batch.support:
            phi = solved(theta, select_task(data, i), phi, steps=3)
        support, query = select_task(batch.support[-1], i), select_task(batch.query, i)

        def inner(vector, support=support):
            return inner_loss(unflatten(vector, theta), support, "lvc")

        hessian = torch.autograd.functional.hessian(inner, flatten(phi))
        at = flatten(phi).requires_grad_()
        (outer,) = torch.autograd.grad(surrogate(unflatten(at, theta), query, None), at)
        expected.append(torch.linalg.solve(torch.eye(size, dtype=torch.float64) + hessian / STRENGTH, outer))
    found = flatten(adam_gradient(update, theta))
    torch.testing.assert_close(found, torch.stack(expected).mean(0), rtol=1e-7, atol=1e-10)
    assert update.metrics["inner_residual"] > 1e-4


def test_residuals_of_a_short_solution_are_told():
    learner, _, theta, batch = setup(1, solution_cg_iterations=1, solution_cg_tolerance=0.0)
    loose = learner.update(LearnerState(theta), batch).metrics["solution_cg_residual"]
    learner, *_ = setup(1)
    tight = learner.update(LearnerState(theta), batch).metrics["solution_cg_residual"]
    assert tight < 1e-8 < 1e-3 < loose
