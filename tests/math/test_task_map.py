import os

import pytest
import torch

from metarl.compute.task_map import TaskMap, available_cpus


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


def test_a_cpu_takes_a_few_tasks_on_every_core_and_a_gpu_all_at_once():
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert TaskMap.for_device(cpu) == TaskMap()
    assert TaskMap.for_device(cpu, threads=3, chunk_size=2) == TaskMap(2, 3)
    assert TaskMap.for_device(gpu) == TaskMap(None, 1)
    assert TaskMap.for_device(gpu, threads=3, chunk_size=2) == TaskMap(2, 1)
    assert TaskMap(1, threads=0).run([lambda: 5]) == [5]


def test_means_over_tasks_keep_every_other_axis():
    values = {"a": torch.tensor([[1.0, 2.0], [3.0, 6.0]]), "b": torch.tensor([1.0, 4.0])}
    mean = TaskMap().mean(values)
    assert {name: value.tolist() for name, value in mean.items()} == {"a": [2.0, 4.0], "b": 2.5}


def test_cpus_are_those_of_this_process_or_where_that_is_unknown_all(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", {0: {1, 4, 5}}.__getitem__, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    assert available_cpus() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    assert available_cpus() == 16
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cpus() == 1
