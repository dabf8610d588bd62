"""What an evaluation tells TensorBoard."""

import numpy as np
import pytest

from metarl.adaptation.evaluation import AdaptationCurve, Evaluation
from metarl.adaptation.statistics import bootstrap
from metarl.policies.policy import TaskState
from metarl.training.tensorboard.tags import evaluation_point, evaluation_points


def gain_ends(task, returns, strata):
    found = Evaluation(AdaptationCurve({"x": np.asarray(task, dtype=float)}, returns), TaskState({}, None))
    points = evaluation_points(found, evaluation_point(found, 0), strata)
    return [points.get(f"intervals_95/gain_{end}") for end in ("low", "high")]


def test_drawn_tasks_that_come_twice_leave_the_gains_interval_as_wide():
    task, returns = np.r_[0, np.arange(39)], np.random.default_rng(0).normal(size=(2, 40))
    expected = bootstrap((returns[1] - returns[0])[None], np.random.default_rng(0))
    assert gain_ends(task, returns, None) == pytest.approx([expected.low, expected.high])
    low, high = gain_ends(task, returns, task)
    assert high - low < (expected.high - expected.low) / 2


def test_the_gain_of_one_task_has_no_interval():
    assert gain_ends([1.0], np.array([[0.0], [1.0]]), None) == [None, None]
