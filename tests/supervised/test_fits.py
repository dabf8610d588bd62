"""Figures of a curve before and after inner steps: what they show, and where they are kept."""

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import metarl
from metarl.supervised.data.sinusoid import pictured
from metarl.training.examples.build import build_supervised
from metarl.training.examples.fits import Fits, fits_figure
from tests.support.tiny_supervised import tiny_values

SHORT = {
    "training.iterations": 5,
    "training.tasks": 3,
    "training.evaluation_tasks": 4,
    "training.evaluation_steps": 2,
    "training.evaluate_every": 2,
}


def lines(figure):
    (axes,) = figure.axes
    return {line.get_label(): line for line in axes.lines}


def images(folder):
    events = EventAccumulator(str(folder), size_guidance={"images": 0}).Reload()
    return {tag: [event.step for event in events.Images(tag)] for tag in events.Tags()["images"]}


def test_the_pictured_points_lie_on_the_pictured_curve():
    support, curve = pictured()
    assert support.x.shape == (5, 1)
    torch.testing.assert_close(curve.x[[0, -1], 0], torch.tensor([-5.0, 5.0]))
    for examples in (support, curve):
        torch.testing.assert_close(examples.y, 4 * torch.sin(examples.x - 0.8))


def test_a_figure_shows_the_network_before_after_one_step_and_after_the_last():
    built = build_supervised(metarl.read_config("sinusoid/maml", {"training.evaluation_steps": 3}))
    theta = built.learner.initial_parameters(torch.Generator().manual_seed(0))
    support, curve = pictured()
    path = [theta]
    for _ in range(3):
        leaves = {name: value.detach().requires_grad_() for name, value in path[-1].items()}
        slopes = torch.autograd.grad(built.model.loss(leaves, support), list(leaves.values()))
        moved = zip(leaves.items(), slopes, strict=True)
        path.append({name: (value - 0.01 * slope).detach() for (name, value), slope in moved})
    drawn = lines(fits_figure(built.fits(theta), "fits"))
    shown = {"before": path[0], "after 1 step": path[1], "after 3 steps": path[3]}
    assert list(drawn) == ["true curve", *shown, "the 5 points"]
    for label, parameters in shown.items():
        expected = built.model.network.apply(parameters, curve.x).flatten()
        torch.testing.assert_close(torch.as_tensor(drawn[label].get_ydata()).float(), expected)
    torch.testing.assert_close(torch.as_tensor(drawn["true curve"].get_ydata()), curve.y.flatten())
    torch.testing.assert_close(torch.as_tensor(drawn["the 5 points"].get_ydata()), support.y.flatten())


@pytest.mark.parametrize(
    ("steps", "labels"),
    [(0, ["before"]), (1, ["before", "after 1 step"]), (2, ["before", "after 1 step", "after 2 steps"])],
)
def test_no_more_lines_than_there_are_steps(steps, labels):
    task = pictured()
    outputs = torch.zeros(steps + 1, len(task.curve.x)).numpy()
    assert list(lines(fits_figure(Fits(task, outputs), "fits"))) == ["true curve", *labels, "the 5 points"]


def test_a_run_keeps_figures_in_its_events_and_its_evaluation(tmp_path):
    metarl.train_supervised("sinusoid/maml", overrides={**SHORT, "run_dir": str(tmp_path)}, quiet=True)
    assert images(tmp_path) == {"fits/before_and_after": [2, 4, 5]}
    (picture,) = (tmp_path / "evaluation").glob("*/fits.png")
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_a_figure_of_the_last_iteration_is_there_once(tmp_path):
    even = {**SHORT, "training.iterations": 4, "run_dir": str(tmp_path)}
    metarl.train_supervised("sinusoid/maml", overrides=even, quiet=True)
    assert images(tmp_path) == {"fits/before_and_after": [2, 4]}


def test_classification_draws_no_curve(tmp_path):
    metarl.train_supervised(tiny_values(tmp_path), quiet=True)
    assert images(tmp_path) == {}
    assert not list((tmp_path / "evaluation").glob("*/fits.png"))
