"""On quadratics: solution, Jacobian and residual in closed form."""

from typing import NamedTuple

import pytest
import torch
from torch.utils._pytree import tree_map

from metarl.math.implicit import implicit_gradients, proximal_loss
from metarl.math.parameters import Parameters, flatten, repeat, select
from metarl.meta_learners.inner.gradient_step import inner_step


class OfTask(NamedTuple):
    gradient: Parameters
    residual: float


def quadratic(parameters, data):
    """0.5 x'Ax - b'x of the parameters joined."""
    matrix, offset = data
    x = flatten(parameters)
    return 0.5 * x @ matrix @ x - offset @ x


def implicit_gradient(loss, solution, data, outer, *settings, **named):
    """Of one task."""
    alone = [tree_map(lambda tensor: tensor.unsqueeze(0), part) for part in (solution, data, outer)]
    found = implicit_gradients(loss, *alone, *settings, **named)
    return OfTask(select(found.gradients, 0), found.residuals[0].item())


def problem(size=6):
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(size, size, generator=generator, dtype=torch.float64)
    vectors = torch.randn(3, size, generator=generator, dtype=torch.float64)
    return (root @ root.T, vectors[0]), shaped(vectors[1]), shaped(vectors[2])


def shaped(vector):
    return {"w": vector[:4].view(2, 2), "b": vector[4:]}


@pytest.mark.parametrize("regularisation", [0.5, 2.0])
def test_gradient_is_the_closed_form(regularisation):
    """(I + A / lambda)^-1 g, wherever the solution is."""
    (matrix, offset), solution, outer = problem()
    found = implicit_gradient(
        quadratic, solution, (matrix, offset), outer, regularisation, iterations=30, tolerance=1e-24
    )
    system = torch.eye(6, dtype=torch.float64) + matrix / regularisation
    torch.testing.assert_close(flatten(found.gradient), torch.linalg.solve(system, flatten(outer)))
    assert list(found.gradient) == list(solution)
    assert found.residual < 1e-8


def test_few_iterations_report_the_residual_they_leave():
    (matrix, offset), solution, outer = problem()
    found = implicit_gradient(quadratic, solution, (matrix, offset), outer, 0.5, iterations=2, tolerance=0.0)
    system = torch.eye(6, dtype=torch.float64) + matrix / 0.5
    left = (flatten(outer) - system @ flatten(found.gradient)).norm() / flatten(outer).norm()
    assert found.residual == pytest.approx(left.item(), rel=1e-9)
    assert found.residual > 1e-3


def test_an_outer_gradient_of_negative_curvature_passes_as_it_is():
    (_, offset), solution, outer = problem()
    concave = (-3.0 * torch.eye(6, dtype=torch.float64), offset)
    found = implicit_gradient(quadratic, solution, concave, outer, 2.0, iterations=10, tolerance=1e-20)
    assert torch.equal(flatten(found.gradient), flatten(outer))
    assert found.residual == 1.0


def test_an_indefinite_system_that_is_not_solved_passes_the_outer_gradient():
    """x = b, |b - Ax| > |b| after two iterations on eigenvalues of both signs."""
    (_, offset), solution, outer = problem()
    eigenvalues = torch.tensor([-3.2, -2.9, -0.5, 0.5, 40.0, 90.0], dtype=torch.float64)
    found = implicit_gradient(quadratic, solution, (torch.diag(eigenvalues), offset), outer, 3.0, 3, 1e-20)
    assert found.residual > 1
    assert torch.equal(flatten(found.gradient), flatten(outer))


@pytest.mark.parametrize(("iterations", "left"), [(1, 1.145), (2, 0.836)])
def test_a_solution_is_taken_as_soon_as_it_leaves_less_than_the_outer_gradient(iterations, left):
    (_, offset), solution, outer = problem()
    eigenvalues = torch.tensor([-2.5, -2.0, -0.5, 0.5, 5.0, 9.0], dtype=torch.float64)
    data = (torch.diag(eigenvalues), offset)
    found = implicit_gradient(quadratic, solution, data, outer, 3.0, iterations, 1e-20)
    assert found.residual == pytest.approx(left, abs=1e-3)
    assert torch.equal(flatten(found.gradient), flatten(outer)) == (left > 1)


def test_names_may_come_in_another_order():
    (matrix, offset), solution, outer = problem()
    one, other = (
        implicit_gradient(quadratic, solution, (matrix, offset), given, 2.0, 30, 1e-24).gradient
        for given in (outer, {"b": outer["b"], "w": outer["w"]})
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_gradient_is_that_of_the_problems_minimum_in_its_centre():
    """argmin 0.5 x'Ax - b'x + lambda/2 |x - c|^2 = (A + lambda I)^-1 (b + lambda c)."""
    (matrix, offset), centre, outer = problem()
    regularisation = 2.0
    system = matrix + regularisation * torch.eye(6, dtype=torch.float64)

    def minimum(vector):
        return torch.linalg.solve(system, offset + regularisation * vector)

    solution = shaped(minimum(flatten(centre)))
    loss = proximal_loss(quadratic, centre, regularisation)
    slope = torch.func.grad(loss)(solution, (matrix, offset))
    torch.testing.assert_close(flatten(slope), torch.zeros(6, dtype=torch.float64), rtol=0, atol=1e-12)
    stepped = centre
    for _ in range(2000):
        stepped = inner_step(loss, stepped, (matrix, offset), 0.05, first_order=True)
    torch.testing.assert_close(flatten(stepped), flatten(solution))
    expected = torch.func.jacrev(minimum)(flatten(centre)).T @ flatten(outer)
    found = implicit_gradient(quadratic, solution, (matrix, offset), outer, regularisation, 30, 1e-24)
    torch.testing.assert_close(flatten(found.gradient), expected)


def test_parameters_that_the_outer_gradient_leaves_alone_are_no_sign_of_failure():
    """A diagonal system: where the outer gradient is 0, so is the solution, and elsewhere it is solved."""
    (_, offset), solution, outer = problem()
    eigenvalues = torch.arange(1.0, 7.0, dtype=torch.float64)
    partial = {**outer, "b": torch.zeros_like(outer["b"])}
    data = (torch.diag(eigenvalues), offset)
    found = implicit_gradient(quadratic, solution, data, partial, 2.0, iterations=30, tolerance=1e-24)
    torch.testing.assert_close(flatten(found.gradient), flatten(partial) / (1 + eigenvalues / 2))


def test_tasks_side_by_side_are_as_each_alone():
    """A system that is solved, one that is not and one of negative curvature."""
    (matrix, offset), solution, outer = problem()
    eigenvalues = torch.tensor([-3.2, -2.9, -0.5, 0.5, 40.0, 90.0], dtype=torch.float64)
    matrices = torch.stack([matrix, torch.diag(eigenvalues), -3.0 * torch.eye(6, dtype=torch.float64)])
    data = matrices, offset.repeat(3, 1)
    found = implicit_gradients(quadratic, repeat(solution, 3), data, repeat(outer, 3), 3.0, 3, 1e-20)
    for task in range(3):
        alone = implicit_gradient(quadratic, solution, (matrices[task], offset), outer, 3.0, 3, 1e-20)
        torch.testing.assert_close(select(found.gradients, task), alone.gradient)
        assert found.residuals[task].item() == pytest.approx(alone.residual)
        assert torch.equal(flatten(alone.gradient), flatten(outer)) == (task > 0)
