"""A run's event files, read back: adaptation first, every step once, figures, cards, settings."""

import re

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.metadata import (
    parse_experiment_plugin_data,
    parse_session_start_info_plugin_data,
)

import metarl
from metarl.runs.files import HELD_OUT_TASK
from metarl.training.tensorboard.glossary import ENTRIES, describe, entry_of
from metarl.training.tensorboard.groups import ADAPTATION, HEALTH, TRAINING

FIGURES = ("--training.figures", "true", "--training.evaluate_every", "2")


def events_of(folder):
    return EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0, "tensors": 0}).Reload()


def points(events, tag):
    return {event.step: event.value for event in events.Scalars(tag)}


def steps(events, tag):
    return [event.step for event in events.Scalars(tag)]


def text(events, tag):
    return events.Tensors(tag)[0].tensor_proto.string_val[0].decode()


class Curves(metarl.Observer):
    """What training told: every evaluation and iteration, by the environment steps before it."""

    def __init__(self):
        self.evaluations, self.iterations, self.taken = {}, {}, {0: 0}

    def on_iteration(self, iteration):
        self.taken[iteration.after.iteration] = iteration.environment_steps
        self.iterations[iteration.environment_steps] = iteration

    def on_evaluation(self, evaluated):
        self.evaluations[evaluated.checkpoint.environment_steps] = evaluated.curve


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of 3 iterations with figures: what it told, and its events."""
    folder = tmp_path_factory.mktemp("board") / "run"
    told = Curves()
    sections = {
        "seed": 3,
        "environment": {"id": "metarl/PointNavigation-v0", "horizon": 8, "options": {"preset": "maml"}},
        "policy": {"hidden_sizes": [8, 8]},
        "sampling": {"tasks": 3, "episodes": 4},
        "meta_learner": {"name": "meta_sgd", "inner_step_size": 0.1},
        "training": {
            "iterations": 3,
            "evaluate_every": 2,
            "evaluation_tasks": 4,
            "evaluation_episodes": 3,
            "evaluation_steps": 2,
        },
        "run_dir": str(folder),
    }
    metarl.train(sections, observers=[told], quiet=True)
    return told, events_of(folder)


def test_held_out_returns_stand_over_environment_steps_from_the_start_to_the_end(run):
    told, events = run
    assert sorted(told.evaluations) == sorted(told.taken[i] for i in (0, 2, 3))
    for k, name in enumerate(("0_steps", "1_step", "2_steps")):
        expected = {step: curve.mean[k] for step, curve in told.evaluations.items()}
        assert points(events, f"{ADAPTATION}/return_after_{name}") == pytest.approx(expected, rel=1e-6)
    gains = {step: curve.mean[-1] - curve.mean[0] for step, curve in told.evaluations.items()}
    assert points(events, f"{ADAPTATION}/gain") == pytest.approx(gains, rel=1e-5)
    low, high = (points(events, f"intervals_95/gain_{end}") for end in ("low", "high"))
    assert all(low[step] <= gain <= high[step] for step, gain in gains.items())


def test_an_iterations_points_are_its_row(run):
    told, events = run
    for column, tag in {
        "rollout/return_before": f"{TRAINING}/return_before",
        "update/kl": f"{HEALTH}/update/kl",
        "inner/support_query_cosine": f"{HEALTH}/inner/support_query_cosine",
        "time/update_seconds": "resources/update_seconds",
    }.items():
        expected = {step: one.metrics[column] for step, one in told.iterations.items()}
        assert points(events, tag) == pytest.approx(expected, rel=1e-6)


def test_axes_are_no_charts_and_adaptation_comes_first(run):
    _, events = run
    tags = events.Tags()["scalars"]
    assert not [tag for tag in tags if tag.endswith(("iteration", "/environment_steps"))]
    assert sorted({tag.split("/")[0] for tag in tags})[:2] == [ADAPTATION, TRAINING]


def test_every_tag_says_what_it_means(run):
    _, events = run
    found = events.Tags()
    tags = [
        *found["scalars"],
        *found["images"],
        *(t for t in found["tensors"] if not t.startswith("_hparams_")),
    ]
    for tag in set(tags) - {"custom_scalars__config__"}:
        assert entry_of(tag) is not None, tag
        assert events.SummaryMetadata(tag).summary_description == describe(tag)


def test_a_tag_of_a_users_own_learner_is_described_too():
    assert "meta-learner's own" in describe(f"{HEALTH}/update/surprise")
    assert all(entry.meaning for entry in ENTRIES.values())


def test_figures_stand_at_every_evaluation(run):
    told, events = run
    expected = sorted(told.evaluations)
    names = ("adaptation_curve", "gains", "return_over_training", "return_by_task", "trajectories")
    for tag in (*(f"{ADAPTATION}/{name}" for name in names), f"{HEALTH}/learned_step_sizes"):
        images = events.Images(tag)
        assert [image.step for image in images] == expected
        assert all(image.encoded_image_string.startswith(b"\x89PNG") for image in images)
        assert all(image.width > 300 for image in images)


def test_tasks_that_are_trained_on_are_nowhere_called_held_out(tmp_path):
    """Half-cheetah's two directions: neither in texts, nor in descriptions, figures' tags or results."""
    training = {"iterations": 1, "evaluation_tasks": 2, "evaluation_episodes": 2, "evaluation_steps": 1}
    sections = {
        "environment": {"id": "metarl/HalfCheetahDir-v0", "horizon": 4},
        "policy": {"hidden_sizes": [4]},
        "sampling": {"tasks": 2, "episodes": 2},
        "meta_learner": {"name": "maml", "inner_step_size": 0.1},
        "training": training,
        "run_dir": str(tmp_path / "run"),
    }
    metarl.train(sections, quiet=True)
    events = events_of(tmp_path / "run")
    found = events.Tags()
    tags = [tag for kind in ("scalars", "images", "tensors") for tag in found[kind]]
    assert f"{ADAPTATION}/return_over_training" in tags
    told = [
        *tags,
        *(events.SummaryMetadata(tag).summary_description for tag in tags),
        text(events, "about/card"),
    ]
    told += [path.read_text() for path in (tmp_path / "run").glob("evaluation/*/*")]
    told += [events.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0].decode(errors="ignore")]
    assert "its 2 tasks" in text(events, "about/card")
    assert not re.search("held.out", "\n".join(told).replace(HELD_OUT_TASK, ""), re.IGNORECASE)


def test_the_card_says_what_the_run_is_and_how_to_go_on(run):
    _, events = run
    card, config = text(events, "about/card"), text(events, "about/config")
    for words in (
        "meta_sgd on metarl/PointNavigation-v0",
        "metarl adapt",
        "metarl evaluate",
        "torch",
        "smoothing",
        "http://localhost:6006/?smoothing=0#custom_scalars&_smoothingWeight=0",
    ):
        assert words in card
    assert "inner_step_size: 0.1" in config


def test_the_columns_of_settings_are_those_of_every_learner_and_returns_those_of_all_kinds(run):
    """TensorBoard takes the page's columns from one of its runs."""
    _, events = run
    content = events.SummaryMetadata("_hparams_/experiment").plugin_data.content
    page = parse_experiment_plugin_data(content)
    columns = {one.name for one in page.hparam_infos}
    assert {"meta_learner.trust_region.max_kl", "meta_learner.clipped.epochs", "Inner step size"} <= columns
    assert {"meta_learner.credit_weight", "meta_learner.belief_trials", "policy.hidden_sizes"} <= columns
    first = [one.name.tag for one in page.metric_infos][:3]
    assert first == [f"{ADAPTATION}/{name}" for name in ("return_after", "gain", "return_before")]
    assert set(first) <= set(events.Tags()["scalars"])


def test_settings_are_a_row_with_the_final_returns(run):
    _, events = run
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    settings = parse_session_start_info_plugin_data(content).hparams
    assert settings["Algorithm"].string_value == "meta_sgd"
    assert settings["Inner step size"].number_value == pytest.approx(0.1)
    assert "training.iterations" not in settings
    assert events.SummaryMetadata("_hparams_/session_end_info").plugin_data.plugin_name == "hparams"
