"""Figures draw what the records hold."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from metarl.adaptation.evaluation import AdaptationCurve
from metarl.adaptation.figures.by_task import gains_figure, returns_by_parameter
from metarl.adaptation.figures.curves import EvaluationPoint, adaptation_figure, training_figure
from metarl.adaptation.figures.step_sizes import step_sizes_figure
from metarl.adaptation.figures.style import png

TASKS = {"velocity": np.array([0.5, 1.0, 2.0])}
RETURNS = np.array([[-5.0, -6.0, -9.0], [-3.0, -7.0, -4.0], [-2.0, -6.5, -3.0]])
CURVE = AdaptationCurve(TASKS, RETURNS)
_EPISODES = np.arange(12.0)
_AFTER = [_EPISODES - 5.0, np.where(_EPISODES < 5, _EPISODES + 1, _EPISODES - 4.0), _EPISODES[::-1] - 0.1]
EPISODES = np.array([[_EPISODES] * 4, [*_AFTER, _EPISODES + 5.0]])
JUDGED = AdaptationCurve({"velocity": np.array([0.5, 1.0, 2.0, 3.0])}, EPISODES.mean(-1), EPISODES)
"""Three tasks with a lower mean after a step, one of them in every episode, and one with a higher one."""


def lines(axes):
    return [np.asarray(line.get_ydata()) for line in axes.get_lines()]


def test_the_curve_has_a_thin_line_a_task_and_the_mean():
    (axes,) = adaptation_figure({"held-out": CURVE}, "title").axes
    drawn = [line for line in lines(axes) if len(line) == 3]
    for task in range(3):
        assert any(np.array_equal(line, RETURNS[:, task]) for line in drawn)
    assert any(np.allclose(line, RETURNS.mean(1)) for line in drawn)
    assert "mean of 3 held-out tasks" in axes.get_legend().get_texts()[1].get_text()


def test_returns_over_training_are_a_line_for_each_number_of_steps():
    points = [
        EvaluationPoint(step, RETURNS.mean(1) + step, RETURNS.min(1), RETURNS.max(1)) for step in (0, 9)
    ]
    (axes,) = training_figure(points, "title", "held-out").axes
    for k, line in enumerate(axes.get_lines()):
        np.testing.assert_allclose(line.get_xdata(), [0, 9])
        np.testing.assert_allclose(line.get_ydata(), RETURNS.mean(1)[k] + np.array([0, 9]))
    assert [one.get_text() for one in axes.get_legend().get_texts()][1] == "after 1 inner step"


def test_an_evaluation_with_fewer_steps_leaves_the_others_lines_whole():
    long, short = (
        EvaluationPoint(n, RETURNS.mean(1)[:k], *[RETURNS.mean(1)[:k]] * 2) for n, k in ((0, 3), (5, 2))
    )
    (axes,) = training_figure([long, short], "title", "held-out").axes
    assert [len(line.get_xdata()) for line in axes.get_lines()] == [2, 2, 1]


def test_a_task_without_an_interval_is_a_line_alone():
    nothing = np.full(3, np.nan)
    points = [EvaluationPoint(n, RETURNS[:, 0], nothing, nothing) for n in (0, 5)]
    figure = training_figure(points, "title", "held-out")
    (axes,) = figure.axes
    assert len(axes.get_lines()) == 3
    assert not any(len(band.get_paths()) for band in axes.collections)
    png(figure)


def told(drawn, label):
    """The parts of a figure with a label."""
    return [one for one in drawn if one.get_label() == label]


def test_gains_have_the_colour_of_what_is_beyond_noise():
    """Of three losses one is beyond noise; the others' episodes fell and rose."""
    (axes,) = gains_figure(JUDGED, "title", "held-out").axes
    bars = {one.get_label(): sum(bar.get_height() for bar in one) for one in axes.containers}
    assert bars == {"1 worse beyond noise": 1, "2 not to be told from noise": 2, "1 better beyond noise": 1}
    colours = [one[0].get_facecolor()[:3] for one in axes.containers]
    assert colours == [to_rgb(name) for name in ("tab:red", "0.75", "tab:blue")]
    assert axes.get_ylabel() == "held-out tasks"


def test_bars_of_gains_hold_losses_or_gains():
    (axes,) = gains_figure(CURVE, "title", "held-out").axes
    bars = [bar for bar in axes.patches if bar.get_height()]
    assert sum(bar.get_height() for bar in bars) == 3
    (bars_of_all,) = axes.containers
    assert bars_of_all.get_label() == "3 single episodes not known"
    assert not any(bar.get_x() < 0 < bar.get_x() + bar.get_width() - 1e-12 for bar in bars)


def test_gains_that_are_all_the_same_are_drawn():
    png(gains_figure(AdaptationCurve(TASKS, np.zeros((2, 3))), "title", "existing"))


def test_returns_stand_against_the_tasks_number():
    (axes,) = returns_by_parameter(CURVE, "title").axes
    before, after = (found.get_offsets() for found in axes.collections[-2:])
    np.testing.assert_allclose(before, np.stack((TASKS["velocity"], RETURNS[0]), axis=1))
    np.testing.assert_allclose(after, np.stack((TASKS["velocity"], RETURNS[-1]), axis=1))


def test_tasks_on_a_line_and_on_a_map_are_red_where_they_are_worse_beyond_noise():
    (axes,) = returns_by_parameter(JUDGED, "title").axes
    (red,) = told(axes.collections, "1 worse beyond noise")
    assert [list(line[:, 0]) for line in red.get_segments()] == [[0.5, 0.5]]
    (grey,) = told(axes.collections, "2 not to be told from noise")
    assert [line[0, 0] for line in grey.get_segments()] == [1.0, 2.0]
    goals = {"goal": np.array([[0.1, 0.2], [0.3, -0.4], [-0.5, 0.0], [0.2, 0.2]])}
    after = returns_by_parameter(replace(JUDGED, tasks=goals), "title").axes[1]
    np.testing.assert_allclose(after.collections[1].get_offsets(), [[0.1, 0.2]])
    assert after.get_title() == "after 1 inner step\nred ring: 1 worse beyond noise"


def test_returns_of_places_are_a_map_before_and_after():
    goals = np.array([[0.1, 0.2], [0.3, -0.4], [-0.5, 0.0]])
    figure = returns_by_parameter(AdaptationCurve({"goal": goals}, RETURNS), "title")
    for axes, returns in zip(figure.axes[:2], (RETURNS[0], RETURNS[-1]), strict=True):
        np.testing.assert_allclose(axes.collections[0].get_offsets(), goals)
        np.testing.assert_allclose(axes.collections[0].get_array(), returns)
        assert axes.collections[0].get_clim() == (-9.0, -2.0)


def test_tasks_of_many_numbers_have_no_such_figure():
    assert returns_by_parameter(AdaptationCurve({"body_mass": np.ones((3, 14))}, RETURNS), "title") is None


def test_learned_step_sizes_are_bars_by_layer():
    parameters = {
        "mean.weight": torch.zeros(2, 2),
        "step_size.mean.weight": torch.tensor([[0.1, 0.2], [0.3, 0.4]]),
        "step_size.log_std": torch.tensor([-0.1, -0.1]),
    }
    (axes,) = step_sizes_figure(parameters, "title").axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["mean.weight", "log_std"]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([0.25, -0.1])
    assert step_sizes_figure({"mean.weight": torch.zeros(2)}, "title") is None


def test_a_step_size_that_is_learned_as_its_logarithm_is_drawn_as_a_size():
    (axes,) = step_sizes_figure({"step_size.log": torch.tensor(0.1).log()}, "title").axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["all parameters"]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([0.1])
