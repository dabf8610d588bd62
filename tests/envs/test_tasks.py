import numpy as np
import pytest
from metarl_envs.task_parameters import Choice, Uniform
from metarl_envs.tasks import (
    TaskSpace,
    number_of_tasks,
    repeat_tasks,
    stack_tasks,
    unstack_tasks,
)

SPACE = TaskSpace(
    {
        "goal": Uniform((-1.0, 0.0), (1.0, 4.0), default=(0.5, 2.0)),
        "speed": Uniform(1.0, 3.0, default=2.0),
        "direction": Choice((-1.0, 1.0), default=1.0),
    }
)
TASK = {"goal": [0.0, 1.0], "speed": 2, "direction": -1}


def generator(seed=0):
    return np.random.default_rng(seed)


def test_samples_have_a_task_axis_and_fill_the_space():
    tasks = SPACE.sample(4000, generator())
    assert {name: values.shape for name, values in tasks.items()} == {
        "goal": (4000, 2),
        "speed": (4000,),
        "direction": (4000,),
    }
    assert all(values.dtype == np.float64 for values in tasks.values())
    np.testing.assert_allclose(tasks["goal"].min(0), [-1, 0], atol=0.02)
    np.testing.assert_allclose(tasks["goal"].max(0), [1, 4], atol=0.02)
    np.testing.assert_allclose(tasks["goal"].mean(0), [0, 2], atol=0.1)
    np.testing.assert_allclose([tasks["speed"].min(), tasks["speed"].max()], [1, 3], atol=0.01)
    assert set(tasks["direction"]) == {-1.0, 1.0}
    assert abs(tasks["direction"].mean()) < 0.1


def test_every_sample_is_valid():
    for task in unstack_tasks(SPACE.sample(50, generator())):
        SPACE.validate(task)


def test_samples_are_those_of_the_generator():
    first, again, other = (SPACE.sample(5, generator(seed)) for seed in (1, 1, 2))
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
    assert (first["goal"] != other["goal"]).all()


@pytest.mark.parametrize("n", [0, -1])
def test_sampling_no_tasks_is_refused(n):
    with pytest.raises(ValueError, match=f"expected the number of tasks to sample >= 1, got {n}"):
        SPACE.sample(n, generator())


def test_the_default_is_in_the_space():
    default = SPACE.default
    np.testing.assert_array_equal(default["goal"], [0.5, 2.0])
    assert (default["speed"], default["direction"]) == (2.0, 1.0)


def test_validate_returns_a_float64_copy():
    goal = np.array([0.0, 1.0])
    valid = SPACE.validate({**TASK, "goal": goal})
    goal[:] = 9
    np.testing.assert_array_equal(valid["goal"], [0.0, 1.0])
    assert valid["goal"].dtype == np.float64
    assert isinstance(valid["speed"], float)
    assert isinstance(valid["direction"], float)


@pytest.mark.parametrize("bound", [(-1.0, 0.0), (1.0, 4.0), (-1.0, 4.0)])
def test_bounds_belong_to_the_space(bound):
    SPACE.validate({**TASK, "goal": bound})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"velocity": 1.0}, r"expected a task with keys \['direction', 'goal', 'speed'\], got .*'velocity'"),
        ({"speed": 3.1}, r"task 'speed': expected a value in \[1.0, 3.0\], got 3.1"),
        ({"speed": np.nan}, "task 'speed': expected a value in .* got nan"),
        ({"goal": [0.0, 4.1]}, r"task 'goal': expected a value in .* got \[0.0, 4.1\]"),
        ({"goal": [np.nan, 1.0]}, "task 'goal': expected a value"),
        ({"goal": 1.0}, r"task 'goal': expected shape \(2,\), got \(\)"),
        ({"speed": [2.0]}, r"task 'speed': expected shape \(\), got \(1,\)"),
        ({"direction": 0.5}, r"task 'direction': expected a value one of \(-1.0, 1.0\), got 0.5"),
        ({"direction": np.nan}, "task 'direction': expected a value one of"),
        ({"speed": "fast"}, "task 'speed': expected numbers, got 'fast'"),
        ({"goal": [[0.0], 1.0]}, "task 'goal': expected numbers"),
        ({"speed": None}, "task 'speed': expected"),
    ],
    ids=str,
)
def test_validate_names_what_is_wrong(change, message):
    with pytest.raises(ValueError, match=message):
        SPACE.validate({**TASK, **change})


def test_a_missing_parameter_is_refused():
    with pytest.raises(ValueError, match=r"expected a task with keys .*, got \['goal', 'speed'\]"):
        SPACE.validate({"goal": [0.0, 1.0], "speed": 2.0})


def test_a_valid_batch_is_a_float64_copy():
    tasks = SPACE.sample(4, generator())
    valid = SPACE.validate_batch(tasks, 4)
    for name, values in tasks.items():
        np.testing.assert_array_equal(valid[name], values, strict=True)
        assert not np.shares_memory(valid[name], values)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("speed", [2.0, 3.5, 9.0], r"task 'speed': expected a value in \[1.0, 3.0\], got 3.5;"),
        ("goal", [[0, 1], [0, 1], [0, 5]], r"task 'goal': expected a value in .*, got \[0.0, 5.0\];"),
        ("direction", [1.0, -1.0, 0.0], r"task 'direction': expected a value one of .*, got 0.0;"),
        ("goal", [0.0, 1.0, 1.0], r"task 'goal': expected shape \(3, 2\), got \(3,\)"),
        ("speed", [2.0, 2.0], r"task 'speed': expected shape \(3,\), got \(2,\)"),
        ("turn", [0.0, 0.0, 0.0], "expected a task with keys"),
    ],
)
def test_an_invalid_batch_names_its_first_task_outside(name, values, message):
    with pytest.raises(ValueError, match=message):
        SPACE.validate_batch({**SPACE.sample(3, generator()), name: values}, 3)


def test_stack_and_unstack_are_inverse():
    tasks = SPACE.sample(6, generator())
    assert number_of_tasks(tasks) == 6
    single = list(unstack_tasks(tasks))
    assert single[3]["speed"] == tasks["speed"][3]
    assert isinstance(single[3]["speed"], float)
    again = stack_tasks(single)
    for name, values in tasks.items():
        np.testing.assert_array_equal(again[name], values)


def test_unstacked_tasks_are_copies():
    tasks = SPACE.sample(2, generator())
    expected = tasks["goal"].copy()
    for task in unstack_tasks(tasks):
        task["goal"][:] = 9
    np.testing.assert_array_equal(tasks["goal"], expected)


def test_repeated_tasks_keep_a_tasks_episodes_together():
    repeated = repeat_tasks({"speed": np.array([1.0, 2.0]), "goal": np.array([[1.0, 2.0], [3.0, 4.0]])}, 3)
    assert repeated["speed"].tolist() == [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]
    assert repeated["goal"].tolist() == [[1.0, 2.0]] * 3 + [[3.0, 4.0]] * 3
