"""Descent that never climbs, by hand and on problems side by side."""

import torch

from metarl.math.descent import descent_path


def half_square(parameters, scale):
    return 0.5 * scale * parameters["x"].square().sum()


def walk(size, steps, scale=1.0, start=1.0):
    path = descent_path(half_square, {"x": torch.tensor(start, dtype=torch.float64)}, scale, size, steps)
    return torch.stack([point["x"] for point in path])


def test_a_step_that_is_taken_is_followed_by_a_longer_one():
    """x - .5 x, x - .6 x, x - .72 x."""
    expected = torch.tensor([1.0, 0.5, 0.5 * 0.4, 0.5 * 0.4 * 0.28], dtype=torch.float64)
    torch.testing.assert_close(walk(0.5, 3), expected)


def test_a_step_that_climbs_is_not_taken_and_followed_by_half_of_it():
    """Sizes 5 and 2.5 climb, 1.25 leads to -.25, where 1.5 leads to .125."""
    expected = torch.tensor([1.0, 1.0, 1.0, -0.25, 0.125], dtype=torch.float64)
    torch.testing.assert_close(walk(5.0, 4), expected)


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
