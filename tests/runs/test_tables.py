"""Tables and numbers for a person."""

import math

import numpy as np
import pytest

from metarl.adaptation.statistics import Interval
from metarl.runs.tables import Table, interval_text, measured_text, number_text, task_text


@pytest.mark.parametrize(
    ("task", "text"),
    [
        ({"goal": np.array([-0.1693214839, 0.2665])}, "goal [-0.17, 0.27]"),
        ({"velocity": 1.5}, "velocity 1.5"),
        ({"direction": np.float32(-1.0)}, "direction -1"),
        ({"direction": 2.345678}, "direction 2.35"),
        ({"goal": [1.0, -2.0], "mass": 30}, "goal [1, -2], mass 30"),
        ({"goal": [-1e-9, 0.0125], "mass": 1200.0}, "goal [0, 0.0125], mass 1200"),
        ({"body_mass": np.array([[1.0, 2.5], [0.5, 1.25]])}, "body mass 0.5 to 2.5"),
    ],
)
def test_a_task_has_numbers_without_needless_digits(task, text):
    assert task_text(task) == text


def test_numbers_and_intervals():
    assert [number_text(x) for x in (-13.5367, 999.994, 12345.6)] == ["-13.54", "999.99", "12,346"]
    assert interval_text(Interval(0.0, -0.171, 0.2665)) == "[-0.17, 0.27]"
    assert measured_text(Interval(1.0, math.nan, math.nan)) == "1.00"


def test_empty_columns_are_left_out():
    table = Table(("a", "b", "c"), [("x", "", "1"), ("longer", "", "2")])
    assert table.markdown() == "| a | c |\n| --- | ---: |\n| x | 1 |\n| longer | 2 |\n"
    lines = table.text().splitlines()
    assert [line.split() for line in (lines[0], *lines[2:])] == [["a", "c"], ["x", "1"], ["longer", "2"]]
    assert not set("|*`[") & set(table.text())


def test_text_keeps_brackets_and_every_letter():
    """Neither markup of rich nor the terminal's width takes anything away."""
    cells = ("x" * 200, "[bold] [-0.17, 0.27]")
    (line,) = Table(("a", "b"), [cells]).text().splitlines()[2:]
    assert all(cell in line for cell in cells)


def test_a_column_is_aligned_to_the_left_on_request():
    lines = Table(("a", "b", "c"), [("1", "x", "y"), ("1", "xxx", "yyy")], left=("c",)).text().splitlines()
    assert lines[2].index("x") == lines[3].index("xxx") + 2
    assert lines[2].index("y") == lines[3].index("yyy")
