"""Lists of tasks as plain data and as files, exactly."""

import json

import numpy as np
import pytest
import yaml
from gymnasium.utils.env_checker import data_equivalence
from metarl_envs import TaskSpace, Uniform, read_tasks, tasks_from_data, tasks_to_data, write_tasks
from metarl_envs.task_parameters import Choice, LogUniform

SPACE = TaskSpace(
    {
        "goal": Uniform((-1.0, 0.0), (1.0, 4.0), default=(0.5, 2.0)),
        "direction": Choice((-1.0, 1.0), default=1.0),
        "mass": LogUniform(2.0, (2, 2)),
    }
)
TASKS = SPACE.sample(4, np.random.default_rng(0))
GOOD = {"goal": [0.5, 1.0], "direction": 1.0, "mass": [[1.0, 1.0], [1.0, 2.0]]}


def test_data_are_plain_numbers_and_lists():
    data = tasks_to_data(TASKS)
    assert len(data) == 4
    assert data[2] == {name: values[2].tolist() for name, values in TASKS.items()}
    assert type(data[0]["direction"]) is float
    assert json.loads(json.dumps(data)) == data == yaml.safe_load(yaml.safe_dump(data))
    assert data_equivalence(tasks_from_data(SPACE, data), TASKS, exact=True)


@pytest.mark.parametrize("name", ["tasks.json", "tasks.yaml", "tasks.yml"])
def test_files_keep_every_bit(tmp_path, name):
    write_tasks(tmp_path / name, TASKS)
    assert data_equivalence(read_tasks(tmp_path / name, SPACE), TASKS, exact=True)


def test_the_suffix_says_the_format(tmp_path):
    write_tasks(tmp_path / "tasks.json", TASKS)
    assert json.loads((tmp_path / "tasks.json").read_text()) == tasks_to_data(TASKS)
    write_tasks(tmp_path / "tasks.yaml", TASKS)
    text = (tmp_path / "tasks.yaml").read_text()
    assert yaml.safe_load(text) == tasks_to_data(TASKS)
    assert list(yaml.safe_load(text)[0]) == list(TASKS)
    for function in (lambda p: write_tasks(p, TASKS), lambda p: read_tasks(p, SPACE)):
        (tmp_path / "tasks.txt").write_text("[]")
        with pytest.raises(ValueError, match=r"expected a \.json, \.yaml or \.yml file of tasks, got .*txt"):
            function(tmp_path / "tasks.txt")


def test_files_written_by_hand(tmp_path):
    (tmp_path / "tasks.yaml").write_text("- {direction: 1, goal: [0, 1], mass: [[1, 1], [1, 1]]}\n")
    tasks = read_tasks(tmp_path / "tasks.yaml", SPACE)
    assert tasks["goal"].dtype == np.float64
    assert tasks["direction"].tolist() == [1.0]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "expected a list of tasks, each a mapping"),
        (GOOD, "expected a list of tasks, each a mapping"),
        ([GOOD, 3], "expected a list of tasks, each a mapping"),
        (None, "expected a list of tasks, each a mapping"),
        ([GOOD, {**GOOD, "direction": 0.0}], "task 1: task 'direction': expected a value one of"),
        ([GOOD, GOOD, {"goal": [0, 0]}], "task 2: expected a task with keys"),
        ([{**GOOD, "goal": [0.0]}], r"task 0: task 'goal': expected shape \(2,\), got \(1,\)"),
        ([{**GOOD, "mass": [[1, 1], [1, 9]]}], r"task 0: task 'mass': expected a value in \[0.5, 2\]"),
        ([{**GOOD, "goal": "here"}], "task 0: task 'goal': expected numbers, got 'here'"),
        ([{**GOOD, "goal": [float("nan"), 0]}], "task 0: task 'goal': expected a value"),
    ],
    ids=str,
)
@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_what_is_no_list_of_this_familys_tasks(tmp_path, data, message, suffix):
    with pytest.raises(ValueError, match=message):
        tasks_from_data(SPACE, data)
    path = tmp_path / f"tasks.{suffix}"
    path.write_text(json.dumps(data) if suffix == "json" else yaml.safe_dump(data))
    with pytest.raises(ValueError, match=f"tasks.{suffix}: {message}"):
        read_tasks(path, SPACE)


@pytest.mark.parametrize(("name", "text"), [("t.json", "[{"), ("t.yaml", "a: [1"), ("t.yml", "\t- x")])
def test_files_that_are_broken(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=f"{name}: expected JSON or YAML, got"):
        read_tasks(tmp_path / name, SPACE)


def test_files_that_are_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_tasks(tmp_path / "none.json", SPACE)
