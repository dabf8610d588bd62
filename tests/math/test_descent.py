"""Descent that never climbs, by hand and on problems side by side."""

import pytest
import torch

from metarl.math.descent import Pair, descent_path, quasi_newton


def half_square(parameters, scale):
    return 0.5 * scale * parameters["x"].square().sum()


def walk(size, steps, scale=1.0, start=1.0):
    path = descent_path(half_square, {"x": torch.tensor(start, dtype=torch.float64)}, scale, size, steps)
    return torch.stack([point["x"] for point in path])


def test_a_step_is_followed_by_one_over_the_curvature_it_met():
    """Which is 3, so that the second step ends at the minimum."""
    expected = torch.tensor([1.0, 0.7, 0.0], dtype=torch.float64)
    torch.testing.assert_close(walk(0.1, 2, scale=3.0), expected)


def test_directions_are_those_of_the_inverse_hessian_that_bfgs_builds():
    """(Nocedal and Wright 2006, eq. 6.17), written out with matrices; a pair of zeros changes nothing."""
    generator = torch.Generator().manual_seed(0)
    root, steps, slope = (torch.randn(*n, 6, generator=generator).double() for n in ((6,), (3,), ()))
    hessian, one = root @ root.T, torch.eye(6).double()
    pairs, inverse = [], 0.3 * one
    for step in steps:
        change = hessian @ step
        share = 1 / step.dot(change)
        pairs.append(Pair(step, change, share))
        turn = one - share * torch.outer(step, change)
        inverse = turn @ inverse @ turn.T + share * torch.outer(step, step)
    pairs.insert(1, Pair(*(torch.zeros_like(part) for part in pairs[0])))
    torch.testing.assert_close(quasi_newton(slope, pairs, torch.tensor(0.3)), inverse @ slope)


def test_few_directions_of_curvature_take_few_steps():
    """Three above that of all others, 100 times as much: descent by gradients would take hundreds."""
    curvatures = torch.tensor([100.0, 50.0, 30.0, *[1.0] * 7]).double()

    def bowl(parameters, data):
        return 0.5 * (curvatures * parameters["x"].square()).sum()

    path = descent_path(bowl, {"x": torch.ones(10).double()}, None, 0.01, 12)
    assert path[-1]["x"].abs().max() < 0.01


def test_a_step_that_climbs_is_not_taken_and_followed_by_half_of_it():
    """Sizes 5 and 2.5 climb, 1.25 leads to -.25, and one over the curvature to 0."""
    expected = torch.tensor([1.0, 1.0, 1.0, -0.25, 0.0], dtype=torch.float64)
    torch.testing.assert_close(walk(5.0, 4), expected)


def test_a_step_without_curvature_is_followed_by_one_of_twice_the_size():
    def slope(parameters, data):
        return 3 * parameters["x"]

    path = descent_path(slope, {"x": torch.tensor(0.0, dtype=torch.float64)}, None, 0.1, 3)
    assert [point["x"].item() for point in path] == pytest.approx([0.0, -0.3, -0.9, -2.1])


def test_a_step_of_no_change_is_not_taken():
    """Size 2 leads from 1 to -1, as high."""
    assert walk(2.0, 1).tolist() == [1.0, 1.0]


def test_what_is_no_number_is_not_taken():
    def logarithm(parameters, data):
        return parameters["x"] - parameters["x"].log()

    start = {"x": torch.tensor(3.0, dtype=torch.float64)}
    path = [point["x"].item() for point in descent_path(logarithm, start, None, 8.0, 60)]
    assert path[:2] == [3.0, 3.0]
    assert abs(path[-1] - 1) < 1e-6


def test_problems_side_by_side_are_each_alone():
    scales, starts = torch.tensor([0.1, 1.0, 30.0]).double(), torch.tensor([2.0, -1.0, 1.0]).double()

    def of_one(start, scale):
        return torch.stack([point["x"] for point in descent_path(half_square, {"x": start}, scale, 0.5, 12)])

    together = torch.vmap(of_one)(starts, scales)
    for found, scale, start in zip(together, scales, starts, strict=True):
        torch.testing.assert_close(found, walk(0.5, 12, scale, start.item()))
        assert (found.square().diff() <= 0).all()
        assert found[-1].abs() < found[0].abs()
