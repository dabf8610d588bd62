"""iMAML against an inner problem that a plain loop solves."""

import pytest
import torch

from metarl.compute.task_map import select_task
from metarl.math.parameters import flatten, unflatten
from metarl.meta_learners.inner.implicit_rule import minimise
from metarl.meta_learners.outer.clipped import ClippedConfig
from tests.support.references import inner_loss, surrogate
from tests.support.tiny import adam_gradient, adapted_by, sampled_meta_batch, tiny_learner, tiny_state

STRENGTH, SOLVER_STEPS, STEP_SIZE = 25.0, 40, 0.04
EXACT = {
    "inner_objective": "lvc",
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


def solved(theta, support, steps=SOLVER_STEPS, scale=1.0):
    """argmin L(phi) + lambda/2 |phi - theta|^2 by gradient descent."""
    phi = theta
    for _ in range(steps):
        phi = {n: value.detach().requires_grad_() for n, value in phi.items()}
        distance = sum((phi[n] - value).square().sum() for n, value in theta.items())
        problem = inner_loss(phi, support, "lvc") + STRENGTH / scale / 2 * distance
        slopes = torch.autograd.grad(problem, list(phi.values()))
        moves = [scale * STEP_SIZE * slope for slope in slopes]
        phi = {n: (value - move).detach() for (n, value), move in zip(phi.items(), moves, strict=True)}
    return phi


def solutions(theta, batch, task, **settings):
    """phi^0, ..., phi^K, every one a solution around the last on its own episodes."""
    path = [theta]
    for data in batch.support:
        path.append(solved(path[-1], select_task(data, task), **settings))
    return path


def outer_gain(theta, batch):
    """J(phi^K(theta))."""
    tasks = range(batch.tasks)
    gains = [surrogate(solutions(theta, batch, i)[-1], select_task(batch.query, i), None) for i in tasks]
    return torch.stack(gains).mean()


@pytest.mark.parametrize("steps", [1, 2])
def test_gradient_equals_finite_differences_through_the_solution(steps):
    learner, _, theta, batch = setup(steps)
    update = learner.update(learner.start(theta), batch)
    gradient, at, epsilon = flatten(adam_gradient(update, theta)), flatten(theta), 1e-4
    generator = torch.Generator().manual_seed(1)
    for direction in torch.randn(3, len(at), generator=generator, dtype=torch.float64):
        high, low = (outer_gain(unflatten(at + sign * epsilon * direction, theta), batch) for sign in (1, -1))
        assert (gradient @ direction).item() == pytest.approx(((high - low) / (2 * epsilon)).item(), rel=1e-5)
    assert update.metrics["solution_cg_residual"] < 1e-8
    assert update.metrics["inner_residual"] < 1e-8
    assert update.metrics["surrogate_before"] == pytest.approx(outer_gain(theta, batch).item(), rel=1e-8)


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_every_inner_step_solves_a_problem_around_the_last_solution(steps):
    learner, _, theta, batch = setup(steps, solver_steps=4)
    current = theta
    expected = solutions(theta, batch, 0, steps=4)
    for k, data in enumerate(batch.support):
        current = adapted_by(learner, current, select_task(data, 0), k)
        for n in theta:
            torch.testing.assert_close(current[n], expected[k + 1][n], rtol=1e-10, atol=1e-12)


def test_later_steps_are_pulled_harder():
    learner, _, theta, batch = setup(2, later_step_scale=0.5, solver_steps=4)
    support = select_task(batch.support[1], 0)
    found, expected = adapted_by(learner, theta, support, 1), solved(theta, support, steps=4, scale=0.5)
    for n in theta:
        torch.testing.assert_close(found[n], expected[n], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_unsolved_gradient_is_the_linear_systems_where_they_stopped(steps):
    """prod_k (I + H_k / lambda)^-1 g with dense Hessians, whether or not the points are solutions."""
    learner, _, theta, batch = setup(steps, solver_steps=3)
    update = learner.update(learner.start(theta), batch)
    expected, identity = [], torch.eye(len(flatten(theta)), dtype=torch.float64)
    for i in range(batch.tasks):
        path = solutions(theta, batch, i, steps=3)
        at = flatten(path[-1]).requires_grad_()
        outer = surrogate(unflatten(at, theta), select_task(batch.query, i), None)
        (total,) = torch.autograd.grad(outer, at)
        for k in reversed(range(steps)):
            support = select_task(batch.support[k], i)

            def inner(vector, support=support):
                return inner_loss(unflatten(vector, theta), support, "lvc")

            hessian = torch.autograd.functional.hessian(inner, flatten(path[k + 1]))
            total = torch.linalg.solve(identity + hessian / STRENGTH, total)
        expected.append(total)
    found = flatten(adam_gradient(update, theta))
    torch.testing.assert_close(found, torch.stack(expected).mean(0), rtol=1e-7, atol=1e-10)
    assert update.metrics["inner_residual"] > 1e-4


@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_the_worst_inner_residual_of_all_tasks_and_steps_is_told(scale):
    """Of gradients that are shorter than 1, too."""
    learner, _, theta, batch = setup(2, solver_steps=3)
    weaker = [data._replace(advantages=scale * data.advantages) for data in batch.support]
    batch = batch._replace(support=tuple(weaker))
    residuals = []
    for i in range(batch.tasks):
        phi = solutions(theta, batch, i, steps=3)
        for k, data in enumerate(batch.support):
            left, whole = (slope_of_problem(at, phi[k], select_task(data, i)) for at in (phi[k + 1], phi[k]))
            residuals.append((left.norm() / whole.norm()).item())
    told = learner.update(learner.start(theta), batch).metrics["inner_residual"]
    assert told == pytest.approx(max(residuals), rel=1e-7)
    assert max(residuals) > 1.05 * sorted(residuals)[-2]


def test_a_problem_that_asks_for_no_change_is_solved():
    """Zero advantages: the gradient is zero at the centre already."""
    learner, _, theta, batch = setup(1)
    (support,) = batch.support
    idle = batch._replace(support=(support._replace(advantages=torch.zeros_like(support.advantages)),))
    assert learner.update(learner.start(theta), idle).metrics["inner_residual"] == 0


def slope_of_problem(at, centre, support):
    leaves = {n: value.detach().requires_grad_() for n, value in at.items()}
    distance = sum((leaves[n] - value).square().sum() for n, value in centre.items())
    problem = inner_loss(leaves, support, "lvc") + STRENGTH / 2 * distance
    return torch.cat([g.flatten() for g in torch.autograd.grad(problem, list(leaves.values()))])


def test_the_worst_residual_of_all_linear_systems_is_told():
    """Of a batch of one task each, the systems' residuals one by one."""
    loose = {"solution_cg_iterations": 2, "solution_cg_tolerance": 0.0}
    learner, _, theta, batch = setup(1, **loose)
    alone = []
    for i in range(batch.tasks):
        one = torch.utils._pytree.tree_map(lambda part, i=i: part[i : i + 1], batch)
        alone.append(learner.update(learner.start(theta), one).metrics["solution_cg_residual"])
    told = learner.update(learner.start(theta), batch).metrics["solution_cg_residual"]
    assert told == pytest.approx(max(alone), rel=1e-7)
    assert max(alone) > 1.05 * min(alone)


def test_descent_stops_where_the_problem_is_not_convex():
    """x^4 / 4 - x^2 from .1 falls ever faster up to x = sqrt(2/3): one step of .1, and no longer one."""
    start = {"x": torch.tensor(0.1, dtype=torch.float64)}

    def problem(parameters, scale):
        return scale * (parameters["x"] ** 4 / 4 - parameters["x"] ** 2)

    x = minimise(problem, start, 1.0, 0.1, 50)["x"].item()
    assert x == pytest.approx(0.1 - 0.1 * (0.1**3 - 2 * 0.1))
    beyond = {"x": torch.tensor(2.0, dtype=torch.float64)}
    assert minimise(problem, beyond, 1.0, 0.1, 200)["x"].item() == pytest.approx(2**0.5)


def test_residuals_of_a_short_solution_are_told():
    learner, _, theta, batch = setup(1, solution_cg_iterations=1, solution_cg_tolerance=0.0)
    loose = learner.update(learner.start(theta), batch).metrics["solution_cg_residual"]
    learner, *_ = setup(1)
    tight = learner.update(learner.start(theta), batch).metrics["solution_cg_residual"]
    assert tight < 1e-8 < 1e-3 < loose


def descended(slopes, start, steps=2):
    """Descent with steps of size 1 where every parameter's slope is its own multiple of it."""

    def problem(parameters, data):
        return sum(slopes[n] / 2 * value.square().sum() for n, value in parameters.items())

    return minimise(problem, start, None, 1.0, steps)


def test_a_step_is_as_long_as_all_parameters_together_move():
    """a = 2 reaches 0 at once, while 100 numbers of .1 overshoot 1.5 times as far at every step: a first
    step of length (2^2 + 2.5^2)^.5 = 3.2, and a second of 3.75, which is not taken."""
    start = {"a": torch.tensor([2.0]), "b": torch.full((100,), 0.1)}
    found = descended({"a": 1.0, "b": 2.5}, start)
    torch.testing.assert_close(found["b"], torch.full((100,), -0.15))


def test_a_step_as_long_as_the_first_is_taken():
    found = descended({"x": 2.0}, {"x": torch.tensor([1.0])})
    assert found["x"] == 1.0
