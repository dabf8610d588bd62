import pytest
import torch

from metarl.compute.task_map import TaskMap


@pytest.mark.parametrize("chunk_size", [1, 2, 5, None])
@pytest.mark.parametrize("threads", [1, 3])
def test_equals_a_plain_loop(chunk_size, threads):
    data = torch.randn(5, 4, 3, dtype=torch.float64)
    weights = torch.randn(3, dtype=torch.float64)

    def value(shared, task):
        return {"dot": (task @ shared).sin().sum(), "task": task * 2}

    result = TaskMap(chunk_size, threads)(value, data, shared=(weights,), tasks=5)
    for i in range(5):
        expected = value(weights, data[i])
        torch.testing.assert_close(result["dot"][i], expected["dot"])
        torch.testing.assert_close(result["task"][i], expected["task"])


def test_results_do_not_depend_on_the_threads_to_the_bit():
    data = torch.randn(9, 50, 30)
    gradient = torch.func.grad(lambda w, x: (x @ w).tanh().square().mean())
    weights = torch.randn(30)
    one, three = (TaskMap(2, n)(gradient, data, shared=(weights,), tasks=9) for n in (1, 3))
    assert torch.equal(one, three)


def test_threads_keep_the_callers_grad_mode():
    with torch.no_grad():
        assert TaskMap(1, 2).run([torch.is_grad_enabled] * 3) == [False] * 3
    assert TaskMap(1, 2).run([torch.is_grad_enabled] * 3) == [True] * 3


def test_threads_work_serially_inside_an_operation():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert TaskMap(1, threads=2).run([torch.get_num_threads] * 4) == [1, 1, 1, 1]
    finally:
        torch.set_num_threads(before)
