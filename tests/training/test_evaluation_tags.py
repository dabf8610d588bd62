"""What an evaluation tells TensorBoard."""

import numpy as np
import pytest

from metarl.adaptation.evaluation import AdaptationCurve, Evaluation
from metarl.adaptation.statistics import bootstrap
from metarl.policies.policy import TaskState
from metarl.training.tensorboard.tags import evaluation_point, evaluation_points


def gain_ends(task, returns, strata):
    found = Evaluation(AdaptationCurve({"x": np.asarray(task, dtype=float)}, returns), TaskState({}, None))
    points = evaluation_points(found, evaluation_point(found, 0, strata), strata)
    return [points.get(f"intervals_95/gain_{end}") for end in ("low", "high")]


def test_drawn_tasks_that_come_twice_leave_the_gains_interval_as_wide():
    task, returns = np.r_[0, np.arange(39)], np.random.default_rng(0).normal(size=(2, 40))
    expected = bootstrap((returns[1] - returns[0])[None], np.random.default_rng(0))
    assert gain_ends(task, returns, None) == pytest.approx([expected.low, expected.high])
    low, high = gain_ends(task, returns, task)
    assert high - low < (expected.high - expected.low) / 2


def test_where_a_list_holds_all_tasks_their_differences_widen_no_band():
    task = np.tile([0, 1], 20)
    returns = 100.0 * task + np.random.default_rng(0).normal(size=(2, 40))
    found = Evaluation(AdaptationCurve({"x": task.astype(float)}, returns), TaskState({}, None))
    drawn, whole = (evaluation_point(found, 0, strata) for strata in (None, task))
    assert (whole.high - whole.low < 2).all()
    assert (drawn.high - drawn.low > 20).all()


@pytest.mark.parametrize(("episodes", "told"), [(6, []), (7, [0.25])])
@pytest.mark.parametrize("trial_episodes", [None, 2])
def test_tasks_made_worse_are_told_where_episodes_are_enough_to_tell(episodes, told, trial_episodes):
    """Of 4 tasks, one fell in every pair: of 6, by chance once in 64, and the bound is 1 / 80."""
    returns = np.zeros((2, 4, episodes))
    returns[1, 3] = -1.0
    curve = AdaptationCurve({"x": np.arange(4.0)}, returns.mean(2), returns, trial_episodes=trial_episodes)
    found = Evaluation(curve, TaskState({}, None))
    points = evaluation_points(found, evaluation_point(found, 0, None), None)
    assert [points[tag] for tag in points if tag == "adaptation/share_of_tasks_made_worse"] == told


def test_one_task_has_no_interval():
    returns = np.array([[0.0], [1.0]])
    assert gain_ends([1.0], returns, None) == [None, None]
    found = Evaluation(AdaptationCurve({"x": np.ones(1)}, returns), TaskState({}, None))
    points = evaluation_points(found, evaluation_point(found, 0, None), None)
    assert not [tag for tag in points if tag.startswith("intervals_95/")]
    assert np.isfinite([*points.values()]).all()
