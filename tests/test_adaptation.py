import pytest
import torch

from metarl.meta_learners.inner.gradient_rules import gradient_rule
from metarl.meta_learners.inner.gradient_step import inner_path, inner_step


def quadratic(parameters, data):
    """0.5 (w - c)' A (w - c), a supervised loss: the rule knows nothing of policies."""
    matrix, centre = data
    difference = parameters["w"] - centre
    return 0.5 * difference @ matrix @ difference


def problem(seed):
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(4, 4, generator=generator, dtype=torch.float64)
    return root @ root.T, torch.randn(4, generator=generator, dtype=torch.float64)


def adapt(loss, start, supports, sizes, first_order=False):
    """The end of the path of inner steps."""

    def step(parameters, data, k):
        return inner_step(loss, parameters, data, sizes[k], first_order=first_order)

    return inner_path(step, start, supports)[-1]


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_k_steps_on_quadratics_have_the_closed_form_in_value_and_jacobian(steps):
    """w - c contracts by (I - alpha_k A_k) every step, so the Jacobian is their product."""
    supports = [problem(k) for k in range(steps)]
    sizes = [0.1 / (k + 1) for k in range(steps)]
    start = torch.randn(4, dtype=torch.float64)
    expected, jacobian = start, torch.eye(4, dtype=torch.float64)
    for (matrix, centre), size in zip(supports, sizes, strict=True):
        contraction = torch.eye(4, dtype=torch.float64) - size * matrix
        expected, jacobian = centre + contraction @ (expected - centre), contraction @ jacobian
    torch.testing.assert_close(adapt(quadratic, {"w": start}, supports, sizes)["w"], expected)

    def adapted(w):
        return adapt(quadratic, {"w": w}, supports, sizes)["w"]

    torch.testing.assert_close(torch.func.jacrev(adapted)(start), jacobian)
    torch.testing.assert_close(torch.func.jacfwd(adapted)(start), jacobian)


def test_a_path_takes_every_step_by_its_number_on_its_own_data():
    def step(parameters, data, k):
        return {"w": 10 * parameters["w"] + data + 0.1 * k}

    path = inner_path(step, {"w": torch.tensor(1.0)}, [2.0, 3.0])
    assert [theta["w"].item() for theta in path] == pytest.approx([1, 12, 123.1])
    assert inner_path(step, path[0], []) == path[:1]


def test_first_order_has_the_same_value_and_the_identity_as_jacobian():
    supports, sizes = [problem(0), problem(1)], [0.1, 0.2]
    start = torch.randn(4, dtype=torch.float64)

    def first_order(w):
        return adapt(quadratic, {"w": w}, supports, sizes, first_order=True)["w"]

    second = adapt(quadratic, {"w": start}, supports, sizes)["w"]
    torch.testing.assert_close(first_order(start), second, rtol=0, atol=0)
    identity = torch.eye(4, dtype=torch.float64)
    torch.testing.assert_close(torch.func.jacrev(first_order)(start), identity, rtol=0, atol=0)
    torch.testing.assert_close(torch.func.jacfwd(first_order)(start), identity, rtol=0, atol=0)


def test_step_sizes_may_be_tensors_and_are_differentiated():
    start, data = torch.randn(4, dtype=torch.float64), problem(0)

    def adapted(size):
        return inner_step(quadratic, {"w": start}, data, {"w": size})["w"]

    gradient = data[0] @ (start - data[1])
    sizes = torch.rand(4, dtype=torch.float64)
    torch.testing.assert_close(adapted(sizes), start - sizes * gradient)
    torch.testing.assert_close(torch.func.jacrev(adapted)(sizes), torch.diag(-gradient))


def test_the_given_parameters_are_left_alone():
    start = {"w": torch.ones(4, dtype=torch.float64)}
    result = inner_step(quadratic, start, problem(0), 0.1)
    assert result is not start
    assert (start["w"] == 1).all()


def test_mapped_over_tasks_equals_a_loop():
    """A mean over tasks inside the mapped loss would shrink the step by their number."""
    tasks = [problem(k) for k in range(3)]
    stacked = tuple(torch.stack(part) for part in zip(*tasks, strict=True))
    start = {"w": torch.randn(4, dtype=torch.float64)}
    mapped = torch.vmap(lambda data: inner_step(quadratic, start, data, 0.1))(stacked)
    for i, data in enumerate(tasks):
        torch.testing.assert_close(mapped["w"][i], inner_step(quadratic, start, data, 0.1)["w"])


def test_a_step_is_differentiated_through_unless_told_otherwise():
    data, start = problem(0), torch.randn(4, dtype=torch.float64)
    rule = gradient_rule(quadratic, lambda k: 0.1)
    plain, of_rule = (
        torch.func.jacrev(lambda w, step=step: step({"w": w})["w"])(start)
        for step in (lambda theta: inner_step(quadratic, theta, data, 0.1), lambda at: rule.step(at, data, 0))
    )
    torch.testing.assert_close(plain, torch.eye(4, dtype=torch.float64) - 0.1 * data[0])
    torch.testing.assert_close(of_rule, plain)
