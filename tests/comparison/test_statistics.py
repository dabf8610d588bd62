"""Intervals against their own definition and known cases; rows by hand."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from metarl.adaptation.statistics import Interval, bootstrap
from metarl.comparison.budgets import budgets
from metarl.comparison.report import markdown, plot, tasks_of, write_csv
from metarl.comparison.runs import Result
from metarl.comparison.statistics import LearningCurve
from metarl.comparison.summary import summarise


def learning(*rows):
    """Of rows (environment steps, seconds, returns by inner step...)."""
    values = np.array(rows, dtype=float)
    return LearningCurve(values[:, 0], values[:, 1], values[:, 2:])


NOTHING = LearningCurve(np.array([]), np.array([]), np.empty((0, 1)))


def test_of_many_tasks_the_interval_is_the_normal_one():
    values = np.random.default_rng(0).normal(5.0, 2.0, size=(1, 400))
    found = bootstrap(values, np.random.default_rng(1))
    error = 1.96 * values.std() / 20
    assert found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - error, abs=0.03)
    assert found.high == pytest.approx(values.mean() + error, abs=0.03)


def test_seeds_that_differ_widen_the_interval():
    """Two seeds at -1 and 1, many tasks alike: a mean of -1, 0 or 1 with 1/4, 1/2, 1/4."""
    values = np.array([[-1.0] * 50, [1.0] * 50])
    assert bootstrap(values, np.random.default_rng(0)) == (0.0, -1.0, 1.0)


def test_seeds_share_their_tasks():
    """One hard task for all seeds counts once: the same interval as of one seed."""
    tasks = np.random.default_rng(0).normal(size=(1, 30))
    one, three = (bootstrap(np.repeat(tasks, n, 0), np.random.default_rng(2)) for n in (1, 3))
    assert three.high - three.low == pytest.approx(one.high - one.low, rel=0.05)


def test_where_tasks_come_several_times_their_differences_widen_nothing():
    """Two tasks, 50 times each: all there are, so the interval is that of the times alone."""
    noise = np.random.default_rng(0).normal(size=(1, 100))
    numbers = np.tile([0, 1], 50)
    near, far = (bootstrap(noise + gap * numbers, np.random.default_rng(1), numbers) for gap in (0.0, 100.0))
    assert far.mean == pytest.approx(near.mean + 50)
    assert far.high - far.low == pytest.approx(near.high - near.low)
    of_each = [noise[0, numbers == number] for number in (0, 1)]
    error = 1.96 * np.sqrt(sum(one.var() / 50 for one in of_each)) / 2
    assert near.high - near.low == pytest.approx(2 * error, rel=0.1)


def test_the_first_evaluation_that_reaches_a_return_tells_its_cost():
    curve = learning((100, 1.0, -9), (200, 2.5, -4), (300, 4.0, -6), (400, 5.5, -3))
    assert curve.first_at(-5) == (200, 2.5)
    assert curve.first_at(-4) == (200, 2.5)
    assert curve.first_at(-1) is None


def test_what_was_kept_within_an_amount_is_what_it_buys():
    curve = learning((0, 0.0, -9, -8), (200, 2.5, -7, -4), (300, 4.0, -6, -6))
    assert curve.bought(2.3, curve.seconds).tolist() == [-9, -8]
    assert curve.bought(2.5, curve.seconds).tolist() == [-7, -4]
    assert curve.bought(285, curve.environment_steps).tolist() == [-7, -4]
    assert curve.bought(286, curve.environment_steps).tolist() == [-6, -6]
    assert curve.bought(1e9, curve.environment_steps).tolist() == [-6, -6]
    assert NOTHING.bought(1.0, NOTHING.seconds) is None


def test_equal_budgets_by_hand():
    """Seeds are averaged, what has ended keeps its last policy, what learns from scratch is left out.

    Where a seed has kept nothing yet a cell is empty, and an iteration may end a twentieth beyond a mark.
    """
    returns = np.zeros((2, 3))
    quick = learning((0, 0, -9, -8), (100_000, 40, -5, -1))
    one = learning((0, 0, -9, -8), (1_000_000, 70, -3, -2), (2_000_000, 140, -1, 4))
    other = learning((0, 0, -9, -8), (1_040_000, 80, -5, -4), (2_100_000, 200, -3, 2))
    found = [
        Result(label, seed, returns, None, 9, 9.0, curve)
        for label, seed, curve in (("quick", 1, quick), ("slow", 1, one), ("slow", 2, other))
    ]
    scratch = Result("scratch", 1, returns, None, 0, 0.0, learning((0, 0, 1), (5, 1, 1)), per_task=True)
    still = Result("still", 1, returns, None, 0, 0.0, learning((0, 0, -7, -6)))
    late = Result("late", 1, returns, None, 9, 9.0, learning((900_000, 100, -7, -6)))
    titles = {
        "slow": "slow",
        "scratch": "scratch",
        "quick": "quick (100k steps)",
        "still": "still",
        "late": "late",
    }
    text = budgets(titles, [*found, scratch, still, late], 40)
    assert [line for line in text.splitlines() if line.startswith("|")] == [
        "|  | 20 s | 40 s | 1 min | 2 min |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| slow | -9.0 → -8.0 | -9.0 → -8.0 | -9.0 → -8.0 | -4.0 → -3.0 |",
        "| quick (100k steps) | -9.0 → -8.0 | -5.0 → -1.0 | -5.0 → -1.0 | -5.0 → -1.0 |",
        "| still | -7.0 → -6.0 | -7.0 → -6.0 | -7.0 → -6.0 | -7.0 → -6.0 |",
        "| late |  |  |  | -7.0 → -6.0 |",
        "|  | 200k steps | 500k steps | 1M steps | 2M steps |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| slow | -9.0 → -8.0 | -9.0 → -8.0 | -4.0 → -3.0 | -2.0 → 3.0 |",
        "| quick (100k steps) | -5.0 → -1.0 | -5.0 → -1.0 | -5.0 → -1.0 | -5.0 → -1.0 |",
        "| still | -7.0 → -6.0 | -7.0 → -6.0 | -7.0 → -6.0 | -7.0 → -6.0 |",
        "| late |  |  | -7.0 → -6.0 | -7.0 → -6.0 |",
    ]
    assert "after 40 episodes" in text
    assert budgets({"scratch": "scratch", "still": "still"}, [scratch, still], 40) == ""


def results():
    worse, same, better = [0.0, 2.0, -1.0], [0.0, -1.0, 0.0], [-2.0, -3.0, 4.0]  # by inner step
    good = np.array([same, better, better, better]).T
    bad = np.array([worse, same, same, better]).T
    return [
        Result("bad", 1, bad, None, 1000, 10.0, learning((500, 5.0, -7.0))),
        Result("good", 1, good, None, 1000, 20.0, learning((100, 2.0, 1.0), (500, 10.0, 3.0))),
        Result("good", 2, good, None, 3000, 40.0, learning((300, 6.0, 2.9))),
        Result("single", 1, bad[:, :2] - 20, None, 0, 0.0, learning((50, 30.0, 5.0)), per_task=True),
        Result("untrained", 1, bad - 10, np.array([0, 1, 0, 0]), 0, 0.0, NOTHING),
    ]


def test_rows_by_hand():
    rows, target = summarise(results(), None)
    assert [row.label for row in rows] == ["good", "bad", "untrained", "single"]
    good, bad, untrained, _ = rows
    assert good.returns[0].mean == pytest.approx(-1.5)
    assert good.returns[2].mean == pytest.approx(3.0)
    assert (good.seeds, good.tasks, good.existing) == (2, 4, None)
    assert (untrained.tasks, untrained.existing) == (4, 2)
    assert target == pytest.approx(3.0 - 0.2 * (3.0 - (-20.0)))
    assert good.to_target == (200.0, 4.0)
    assert good.reached == 2
    assert bad.worsened == 0.25
    assert good.worsened == 0.0
    assert bad.to_target is None
    assert good.environment_steps == 2000
    assert untrained.to_target is None


def test_a_target_that_some_seeds_miss_says_so(tmp_path):
    rows, target = summarise(results(), 2.95)
    assert rows[0].to_target == (500.0, 10.0)
    assert rows[0].reached == 1
    text = markdown(rows, target, 20, 2000)
    assert "(1 of 2 seeds)" in text
    assert "| good | -1.5 [" in text
    assert "| 25% |" in text
    assert text.count("not reached") == 2
    assert "| bad (1 of the seeds, 1k steps of training) |" in text
    assert "| single (1 of the seeds, 2 of the tasks) |" in text
    assert "| 50 a task | 30 s a task |" in text
    write_csv(tmp_path / "t.csv", rows)
    lines = (tmp_path / "t.csv").read_text().splitlines()
    assert len(lines) == 1 + 4 * 3
    assert lines[1].startswith("good,2,4,,0,-1.5,")
    assert lines[1].endswith(",False,2000.0,30.0,500.0,10.0,1,True")
    assert lines[-1].endswith(",True,0.0,0.0,50.0,30.0,1,True")


def one_row(**changes):
    row = summarise(results(), 2.95)[0][0]
    return replace(row, **changes)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"to_target": (999_400.0, 99.4)}, "| 999k | 99 s |"),
        ({"to_target": (999_600.0, 99.6)}, "| 1.00M | 1.7 min |"),
        ({"to_target": (3_456_000.0, 600.0)}, "| 3.46M | 10.0 min |"),
        ({"to_target": (12.0, 0.04)}, "| 12 | 0.0 s |"),
        ({"to_target": (12.0, 0.04), "exact": False}, "| at most 12 | at most 0.0 s |"),
        ({"returns": [Interval(1.0, -2.0, 3.0)]}, "| good | 1.0 [-2.0, 3.0] |"),
        ({"returns": [Interval(1.0, 1.0, 1.0)], "seeds": 1, "tasks": 1, "reached": 1}, "| good | 1.0 |"),
    ],
)
def test_cells(changes, text):
    row = one_row(**{"reached": 2, **changes})
    assert text in markdown([row], 0.0, 20)


def test_titles_say_how_tasks_were_listed():
    cases = {(40, None): "40 held-out tasks", (1, None): "1 held-out task"}
    cases |= {(40, 2): "its 2 tasks, 20 times each", (5, 2): "its 2 tasks, 2 or 3 times each"}
    for (tasks, existing), text in cases.items():
        assert tasks_of(one_row(tasks=tasks, existing=existing)) == text
    assert tasks_of(one_row(tasks=40, existing=None, tasks_name="drawn")) == "40 drawn tasks"


def test_the_target_is_written_in_full():
    assert "training to 1234: " in markdown([one_row()], 1234.4, 20)
    assert "training to -18.4: " in markdown([one_row()], -18.41, 20)


def test_returns_that_do_not_vary_can_be_drawn(tmp_path):
    """Rounding puts an end of the interval on the other side of the mean."""
    returns = np.tile(np.random.default_rng(0).normal(size=(3, 2)), (1, 20))
    found = [Result("same", 1, returns, np.tile([0, 1], 20), 1, 1.0, learning((5, 5.0, 1.0)))]
    rows, target = summarise(found, None)
    assert rows[0].returns[0].high - rows[0].returns[0].low == pytest.approx(0.0)
    rows = [replace(rows[0], returns=[Interval(1.0, 1.0 + 1e-12, 1.0 - 1e-12)] * 3)]
    plot(tmp_path / "a.png", rows, found, "title", target, 20)
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"


def test_rows_draw_within_the_tasks_that_are_all_there_are():
    values = np.array([[0.0, 100.0] * 4])
    free, held = (
        summarise([Result("a", 1, values, strata, 1, 1.0, NOTHING)], 0.0)[0][0]
        for strata in (None, np.array([0, 1] * 4))
    )
    assert free.returns[0].high > 70
    assert held.returns[0] == (50.0, 50.0, 50.0)


def test_csv_columns(tmp_path):
    write_csv(tmp_path / "t.csv", [one_row(returns=[Interval(1.0, -2.0, 3.0)], worsened=0.25, existing=2)])
    with (tmp_path / "t.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    values = {"mean_return": "1.0", "low_95": "-2.0", "high_95": "3.0", "worsened_share": "0.25"}
    values |= {"existing_tasks": "2", "seconds": "30.0", "environment_steps_to_target": "500.0"}
    assert {name: row[name] for name in values} == values
