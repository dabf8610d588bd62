"""The page Custom Scalars of a run: charts that have something to show, one line a run in each."""

import re

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2

from metarl.adaptation.points import Points
from metarl.training.tensorboard.layout import page_layout
from metarl.training.tensorboard.tags import return_tag

SUCCESS = {
    0: "Success after adaptation as evaluated, shaded from before",
    1: "Success after adaptation as in training, shaded from before",
}
FIXED = ("--environment.id", "metarl/HalfCheetahDir-v0", "--environment.options", "{}")
GAIN = "adaptation/gain"
HELD_OUT, TRAINING, HEALTH = range(3)


def page(folder):
    """Charts by title, of every category, and the tags that are there."""
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()
    layout = layout_pb2.Layout()
    layout.ParseFromString(events.Tensors("custom_scalars__config__")[-1].tensor_proto.string_val[0])
    return [{chart.title: chart for chart in one.chart} for one in layout.category], events.Tags()["scalars"]


def asked(chart):
    """The tags that a chart shows: regular expressions of lines, and names of bands."""
    bands = {re.escape(tag) for one in chart.margin.series for tag in (one.value, one.lower, one.upper)}
    return bands | {*chart.multiline.tag}


def test_points_of_a_policy_with_memory_are_called_episodes():
    for first, last in (("0 steps", "1 step"), ("0 episodes", "1 episode"), ("0 episodes", "6 episodes")):
        tags = [f"adaptation/return_after_{name.replace(' ', '_')}" for name in (first, last)]
        titles = [chart.title for chart in page_layout(tags).category[0].chart]
        assert f"Return after {last}" in titles
        noun = "episodes" if "episode" in last else "inner steps"
        assert any(re.fullmatch(f"Return after 0 ., {last[0]} . {noun}", one) for one in titles)
        assert any("episodes" in one for one in titles) == (noun == "episodes")


def test_returns_of_both_kinds_are_in_categories_of_their_own_and_gains_in_one():
    """TensorBoard joins the categories of several runs by their titles."""
    steps, episodes = (
        page_layout(
            [f"adaptation/return_after_0_{noun}s", f"adaptation/return_after_1_{noun}", GAIN]
        ).category
        for noun in ("step", "episode")
    )
    assert [one.title[:14] for one in (*steps, *episodes)] == ["Does it adapt?"] * 2 + ["Does it rememb"]
    assert [len(one.chart) for one in (*steps, *episodes)] == [4, 1, 3]
    assert [one.title for one in episodes[0].chart] == ["Adaptation gain"]


@pytest.mark.parametrize(
    ("between", "names"), [(None, ("1_step", "2_steps")), (3, ("3_episodes", "6_episodes"))]
)
def test_charts_of_episodes_and_of_inner_steps_are_not_the_same(between, names):
    """TensorBoard draws equal tags of several runs into one chart."""
    assert tuple(return_tag(Points(3, between), point) for point in (1, 2)) == tuple(
        f"return_after_{name}" for name in names
    )


@pytest.mark.parametrize("settings", [(), FIXED, ("--meta_learner.outer", "ppo")], ids=str)
def test_every_chart_has_something_to_show(train_small, tmp_path, settings):
    train_small("--training.iterations", "2", *settings)
    categories, tags = page(tmp_path / "run")
    assert len(categories) == 3
    for chart in (chart for charts in categories for chart in charts.values()):
        for pattern in asked(chart):
            assert [tag for tag in tags if re.fullmatch(pattern, tag)], chart.title


def test_success_is_shown_where_the_environment_tells_it(train_small, tmp_path):
    train_small("--training.iterations", "1")
    told, _ = page(tmp_path / "run")
    train_small("--training.iterations", "1", "--run_dir", str(tmp_path / "other"), *FIXED)
    untold, _ = page(tmp_path / "other")
    for category in (HELD_OUT, TRAINING):
        assert SUCCESS[category] in told[category]
        assert SUCCESS[category] not in untold[category]
        assert {title for title in untold[category] if title.startswith("Steps per episode")}
    (band,) = told[HELD_OUT][SUCCESS[HELD_OUT]].margin.series
    ends = ("adaptation/success_after", "adaptation/success_before")
    assert (band.value, band.lower) == ends


def test_lines_of_one_chart_are_told_apart_by_marks_in_its_title(train_small, tmp_path):
    """TensorBoard gives its marks to the bands of a chart in their order, and draws charts last first."""
    train_small("--training.iterations", "1", "--training.evaluation_steps", "2")
    charts = page(tmp_path / "run")[0][HELD_OUT]
    (several,) = [title for title, chart in charts.items() if len(chart.margin.series) > 1]
    assert several == [*charts][-1] == "Return after 0 \u25fc, 1 \u25c6, 2 \u25b2 inner steps"
    names = ["return_after_0_steps", "return_after_1_step", "return_after_2_steps"]
    assert [one.value for one in charts[several].margin.series] == [f"adaptation/{name}" for name in names]


def test_lines_are_in_the_order_of_their_steps():
    tags = [f"adaptation/return_after_{k}_step{'s' * (k != 1)}" for k in (10, 2, 1, 0)]
    several = page_layout(tags).category[0].chart[-1]
    assert several.title.startswith("Return after 0 \u25fc, 1 \u25c6, 2 \u25b2, 10 \u2605 inner")
    assert [one.value for one in several.margin.series] == tags[::-1]


@pytest.mark.parametrize("tasks", ["1", "2"])
def test_bands_are_intervals_where_there_are_some(train_small, tmp_path, tasks):
    train_small("--training.iterations", "1", "--training.evaluation_tasks", tasks)
    charts = page(tmp_path / "run")[0][HELD_OUT]
    for title in ("Return after 0 steps", "Return after 1 step", "Adaptation gain"):
        (band,) = charts[title].margin.series
        assert (
            band.lower.startswith("intervals_95/") == band.upper.startswith("intervals_95/") == (tasks == "2")
        )


def test_a_run_that_goes_on_keeps_its_page(train_small, tmp_path):
    train_small("--training.iterations", "1")
    found, _ = page(tmp_path / "run")
    train_small("--training.iterations", "1", resume=True)
    assert page(tmp_path / "run")[0] == found
