"""Folders and tables of results."""

import csv
import json
import re

import numpy as np
import pytest

from metarl.runs.results import new_adaptation, new_evaluation, task_name, write_adaptation


def test_a_tasks_name_is_safe_short_and_its_own():
    assert task_name({"velocity": 1.5}) == "velocity=1.5"
    assert task_name({"goal": np.array([0.1, -0.2]), "mass": 1.0}) == "goal=0.1,-0.2_mass=1"
    rng = np.random.default_rng(0)
    odd = [
        {"../../x": 1.0},
        {"..": 1.0},
        {"a/b": 1.0},
        {"a b": 1.0},
        {"x": "../../y"},
        {"\n": 0.0},
        {"x" * 500: 0.0},
        *({"body": rng.uniform(size=(30, 3))} for _ in range(2)),
    ]
    names = [task_name(task) for task in odd]
    assert all(re.fullmatch(r"[A-Za-z0-9=.,_+-]{1,80}", name) for name in names)
    assert len({*names}) == len(names)
    assert names == [task_name(task) for task in odd]


def test_every_folder_is_a_new_one(tmp_path):
    made = [new_evaluation(tmp_path) for _ in range(5)]
    assert len({*made}) == 5
    assert all(re.fullmatch(r"\d{8}T\d{6}Z(_\d+)?", path.name) for path in made)
    adapted = [new_adaptation(tmp_path, {"velocity": 1.5}).name for _ in range(3)]
    assert adapted == ["velocity=1.5", "velocity=1.5_2", "velocity=1.5_3"]


def test_an_adaptation_of_one_episode_has_no_interval(tmp_path):
    write_adaptation(tmp_path, np.array([[1.0], [2.0]]))
    with (tmp_path / "adaptation.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[1] == {"step": "1", "mean_return": "2.0", "episode_0": "2.0"}


@pytest.mark.parametrize("resume", [False, True])
def test_the_table_at_the_end_of_training_is_kept(train_small, tmp_path, resume):
    """Task by task, and again after more training."""
    train_small("--training.iterations", "1")
    if resume:
        train_small("--training.iterations", "2", resume=True)
    folders = sorted((tmp_path / "run" / "evaluation").iterdir())
    assert len(folders) == 1 + resume
    kept = [json.loads((folder / "adaptation.json").read_text()) for folder in folders]
    assert sorted(one["protocol"]["iterations"] for one in kept) == [1, 2][: 1 + resume]
    with (folders[0] / "adaptation.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["tasks"] for row in rows] == ["held-out"] * 2
    means = [np.mean([float(row[f"return_after_{k}_steps"]) for row in rows]) for k in (0, 1)]
    assert kept[0]["lists"]["held-out"]["mean_return"] == pytest.approx(means)
