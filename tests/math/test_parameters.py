import pytest
import torch

from metarl.math.parameters import first_not_finite, flatten, repeat, select, unflatten


def two():
    return {"w": torch.arange(6.0).view(2, 3), "b": torch.tensor([6.0, 7.0])}


def test_flattening_joins_in_order_and_is_undone():
    assert flatten(two()).tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    back = unflatten(10 + flatten(two()), two())
    assert list(back) == ["w", "b"]
    assert all(torch.equal(back[name], 10 + value) for name, value in two().items())


def test_repeated_parameters_are_every_tasks():
    repeated = repeat(two(), 3)
    assert repeated["w"].shape == (3, 2, 3)
    for task in range(3):
        assert all(torch.equal(select(repeated, task)[name], value) for name, value in two().items())


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_the_first_name_and_task_with_any_number_that_is_not_finite(bad):
    parameters = {name: value.clone() for name, value in repeat(two(), 3).items()}
    assert first_not_finite(parameters) is None
    parameters["b"][1, 1] = bad
    assert first_not_finite(parameters) == ("b", 1)
    parameters["b"][2] = bad
    assert first_not_finite(parameters) == ("b", 1)
    parameters["w"][2, 0, 1] = bad
    assert first_not_finite(parameters) == ("w", 2)
