import pytest
import torch

from metarl.math.conjugate_gradient import conjugate_gradient
from metarl.math.line_search import backtracking_line_search


def system(size=12):
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(size, size, generator=generator, dtype=torch.float64)
    return root @ root.T + torch.eye(size), torch.randn(size, generator=generator, dtype=torch.float64)


def test_conjugate_gradient_equals_a_direct_solve():
    matrix, b = system()
    solved = conjugate_gradient(lambda v: matrix @ v, b, iterations=40, tolerance=1e-24)
    torch.testing.assert_close(solved.solution, torch.linalg.solve(matrix, b), rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(solved.image, matrix @ solved.solution, rtol=1e-8, atol=1e-10)
    assert solved.relative_residual < 1e-8


def test_conjugate_gradient_reports_the_residual_it_stopped_at():
    matrix, b = system()
    solved = conjugate_gradient(lambda v: matrix @ v, b, iterations=3)
    expected = (b - matrix @ solved.solution).norm() / b.norm()
    assert solved.relative_residual == pytest.approx(expected.item(), rel=1e-9)
    assert solved.iterations == 3


def ill_conditioned(size=200, large=8):
    """A few eigenvalues from 1 to 100 above many of about 1e-3, and a right-hand side."""
    generator = torch.Generator().manual_seed(0)
    axes, _ = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64))
    eigenvalues = 1e-3 * torch.linspace(0.5, 1.5, size, dtype=torch.float64)
    eigenvalues[:large] = torch.logspace(0, 2, large, dtype=torch.float64)
    matrix = axes @ torch.diag(eigenvalues) @ axes.T
    return matrix, matrix @ torch.randn(size, generator=generator, dtype=torch.float64)


def test_float32_products_give_float64s_solution_where_the_system_is_ill_conditioned():
    matrix, b = ill_conditioned()
    exact = conjugate_gradient(lambda v: matrix @ v, b, iterations=10)
    single = matrix.float()
    rounded = conjugate_gradient(lambda v: single @ v, b.float(), iterations=10)
    assert rounded.solution.dtype == torch.float64
    assert torch.nn.functional.cosine_similarity(rounded.solution, exact.solution, dim=0) > 1 - 1e-5
    true_residual = ((b - matrix @ rounded.solution).norm() / b.norm()).item()
    assert true_residual == pytest.approx(exact.relative_residual.item(), rel=0.01)
    assert true_residual < 1e-4


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_conjugate_gradient_stops_relative_to_the_right_hand_side(scale):
    matrix, b = system()
    solved = conjugate_gradient(lambda v: matrix @ v, scale * b, iterations=40, tolerance=1e-6)
    unscaled = conjugate_gradient(lambda v: matrix @ v, b, iterations=40, tolerance=1e-6)
    assert solved.iterations == unscaled.iterations < 12
    torch.testing.assert_close(solved.solution / scale, unscaled.solution, rtol=1e-9, atol=0)
    assert 1e-5 < solved.relative_residual <= 1e-3


def test_conjugate_gradient_goes_on_when_all_directions_are_used():
    matrix, b = ill_conditioned(size=6, large=3)
    single = matrix.float()
    solved = conjugate_gradient(lambda v: single @ v, b.float(), iterations=60)
    assert solved.relative_residual <= 1e-5
    assert solved.iterations < 30


def test_conjugate_gradient_tells_of_what_is_no_number():
    solved = conjugate_gradient(lambda v: v, torch.tensor([1.0, float("nan")]), iterations=3)
    assert solved.relative_residual != solved.relative_residual


def test_conjugate_gradient_of_zero_is_zero():
    solved = conjugate_gradient(lambda v: v, torch.zeros(3), iterations=5)
    assert solved.iterations == 0
    assert solved.relative_residual == 0
    assert (solved.solution == 0).all()


def test_conjugate_gradient_stops_before_negative_curvature():
    matrix = torch.diag(torch.tensor([3.0, 1.0, -0.5], dtype=torch.float64))
    b = torch.tensor([1.0, 1.0, 0.1], dtype=torch.float64)
    solved = conjugate_gradient(lambda v: matrix @ v, b, iterations=10)
    assert solved.solution @ matrix @ solved.solution > 0
    assert solved.solution @ b > 0
    torch.testing.assert_close(solved.image, matrix @ solved.solution)
    none = conjugate_gradient(lambda v: -v, b, iterations=10)
    assert not none.solution.any()
    assert none.relative_residual == 1.0


def test_conjugate_gradient_of_no_curvature_stays_at_zero():
    solved = conjugate_gradient(lambda v: 0 * v, torch.ones(3), iterations=5)
    assert not solved.solution.any()
    assert solved.relative_residual == 1.0


def test_systems_side_by_side_are_solved_as_each_alone():
    """Solved at once, after one product, after all, never for want of curvature, and with b = 0."""
    matrix, b = system()
    axes, _ = torch.linalg.qr(matrix)
    indefinite = axes @ torch.diag(torch.linspace(-1, 10, 12, dtype=torch.float64)) @ axes.T
    identity = torch.eye(12, dtype=torch.float64)
    matrices = torch.stack([matrix, 3 * identity, indefinite, -identity, matrix])
    sides = torch.stack([b, b, b, b, 0 * b])
    found = conjugate_gradient(
        lambda v: torch.einsum("sij,sj->si", matrices, v), sides, iterations=8, tolerance=1e-8
    )
    alone = [
        conjugate_gradient(lambda v, one=one: one @ v, side, iterations=8, tolerance=1e-8)
        for one, side in zip(matrices, sides, strict=True)
    ]
    assert [one.iterations for one in alone] == [8, 1, 3, 1, 0]
    assert found.iterations == 8
    for k in range(3):
        expected = torch.stack([one[k] for one in alone])
        torch.testing.assert_close(found[k], expected, rtol=1e-9, atol=1e-12)


def test_line_search_takes_the_first_acceptable_fraction():
    found = backtracking_line_search(lambda x: x, lambda x: "large" if x > 0.5 else None, 0.8, 15)
    assert found.fraction == pytest.approx(0.8**4)
    assert (found.backtracks, found.rejections) == (4, {"large": 4})


def test_line_search_gives_up():
    found = backtracking_line_search(lambda x: x, lambda _: "never", 0.5, 3)
    assert (found.fraction, found.rejections) == (0.0, {"never": 3})
