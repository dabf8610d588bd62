"""Sinusoid regression: every learner's gradient against a plain loop, and what metarl sinusoid writes."""

import csv
import sys
from functools import partial

import pytest
import torch

from metarl.commands import sinusoid
from metarl.compute.task_map import TaskMap
from metarl.errors import TrainingError
from metarl.experiment.config import read_config
from metarl.math.parameters import flatten
from metarl.supervised.data.sinusoid import grid, sample_sinusoids
from metarl.supervised.evaluation import evaluate
from metarl.supervised.examples import Episodes, Examples, keyed_generator, repeated
from metarl.supervised.learners.maml import MamlConfig, descent
from metarl.training.examples.build import build_supervised
from tests.support.tiny_labelled import assert_slope, doubled, one
from tests.support.warm_commands import run_script

TASKS, ALPHA = 3, 0.01
LAYERS = ("hidden.0", "hidden.1", "head")


def built(name, **overrides):
    return build_supervised(read_config(f"sinusoid/{name}", overrides))


def start(name):
    """A learner, its parameters and a batch, in double precision."""
    found = built(name)
    theta = doubled(found.learner.initial_parameters(torch.Generator().manual_seed(0)))
    drawn = found.source.draw("train", TASKS, torch.Generator().manual_seed(1))
    support, query = (Examples(*(v.double() for v in part)) for part in drawn[:2])
    return found, theta, Episodes(support, query, drawn.classes)


def error(parameters, points):
    """Written out: y = W2 relu(W1 relu(W0 x + b0) + b1) + b2."""
    value = points.x.T
    for layer in LAYERS:
        value = parameters[f"{layer}.weight"] @ value + parameters[f"{layer}.bias"][:, None]
        value = value.clamp(min=0) if layer != "head" else value
    return ((value - points.y.T) ** 2).mean()


def gradient(loss, parameters):
    leaves = {name: value.detach().requires_grad_() for name, value in parameters.items()}
    return dict(zip(leaves, torch.autograd.grad(loss(leaves), list(leaves.values())), strict=True))


def descend(parameters, points, steps):
    """theta^1, ..., theta^K by plain gradient descent."""
    path = []
    for _ in range(steps):
        slopes = gradient(partial(error, points=points), parameters)
        parameters = {n: value - ALPHA * slopes[n] for n, value in parameters.items()}
        path.append(parameters)
    return path


def climbed(found, theta, episodes):
    """What the first outer step of a learner climbs: Adam's first moment is a tenth of it, downwards."""
    moments = found.learner.update(found.learner.start(theta), episodes).state.optimiser
    return {n: -10 * value for n, value in moments.exp_avg.items()}


def test_maml_is_the_slope_of_the_loss_after_adaptation():
    found, theta, episodes = start("maml")

    def objective(at):
        adapted = [descend(at, one(episodes.support, i), 1)[-1] for i in range(TASKS)]
        return -sum(error(phi, one(episodes.query, i)) for i, phi in enumerate(adapted)) / TASKS

    assert_slope(climbed(found, theta, episodes), objective, theta, epsilon=1e-7)


def test_first_order_maml_leaves_out_the_hessian_term():
    """(I - alpha H_i) g_i against g_i, g_i the query loss's gradient at theta'_i."""
    found, theta, episodes = start("maml")
    second, first = (
        descent(found.model, MamlConfig(inner_step_size=ALPHA, first_order=order)).gradient(
            theta, repeated(episodes, 1), found.model.gain, TaskMap(2, 1)
        )
        for order in (False, True)
    )
    outer, missing = [], []
    for i in range(TASKS):
        support, query = one(episodes.support, i), one(episodes.query, i)
        slopes = gradient(partial(error, points=query), descend(theta, support, 1)[-1])
        outer.append(flatten(slopes))
        own = torch.func.grad(partial(error, points=support))
        missing.append(ALPHA * flatten(torch.func.jvp(own, (theta,), (slopes,))[1]))
    torch.testing.assert_close(flatten(first.gradient), -torch.stack(outer).mean(0))
    difference = flatten(second.gradient) - flatten(first.gradient)
    torch.testing.assert_close(difference, torch.stack(missing).mean(0))
    assert difference.norm() > 0.01 * flatten(first.gradient).norm()


def test_maml_pp_is_the_slope_of_the_weighted_losses_in_weights_and_step_sizes():
    found, theta, episodes = start("maml_pp")
    generator = torch.Generator().manual_seed(3)
    sizes = [name for name in theta if name.startswith("step_size.")]
    for name in sizes:
        theta[name] = theta[name] * (0.5 + torch.rand((), generator=generator))

    def objective(at):
        total = 0.0
        for i in range(TASKS):
            phi = {name: at[name] for name in theta if name not in sizes}
            for k in range(5):
                slopes = gradient(partial(error, points=one(episodes.support, i)), phi)
                size = {n: at[f"step_size.{k}.{n.rsplit('.', 1)[0]}"] for n in phi}
                phi = {n: v - size[n] * slopes[n] for n, v in phi.items()}
                total = total - error(phi, one(episodes.query, i)) / TASKS / 5
        return total

    assert len(sizes) == 5 * len(LAYERS)
    assert_slope(climbed(found, theta, episodes), objective, theta, epsilon=1e-7)


def test_reptile_ends_where_steps_on_other_points_do():
    found, theta, episodes = start("reptile")
    moves = []
    for i in range(TASKS):
        both = zip(episodes.support, episodes.query, strict=True)
        phi, x, y = (theta, *(torch.cat([s[i], q[i]]) for s, q in both))
        for k in range(5):
            phi = descend(phi, Examples(x[10 * k : 10 * k + 10], y[10 * k : 10 * k + 10]), 1)[-1]
        moves.append(flatten(phi) - flatten(theta))
    slopes = climbed(found, theta, episodes)
    torch.testing.assert_close(flatten({n: slopes[n] for n in theta}), torch.stack(moves).mean(0))


def test_pre_training_is_the_gradient_over_all_points():
    found, theta, episodes = start("pre_training")
    both = zip(episodes.support, episodes.query, strict=True)
    x, y = (torch.cat([s, q], 1).reshape(-1, 1) for s, q in both)
    expected = gradient(partial(error, points=Examples(x, y)), theta)
    slopes = climbed(found, theta, episodes)
    torch.testing.assert_close(flatten({n: slopes[n] for n in theta}), -flatten(expected))


def test_scores_are_those_of_steps_on_the_same_points():
    found = built("maml")
    theta = found.learner.initial_parameters(torch.Generator().manual_seed(0))
    scores = evaluate(
        found.learner, theta, found.source, "test", tasks=2, steps=10, seed=5, task_map=TaskMap(2, 1)
    )
    tasks = found.source.draw("test", 25, keyed_generator(5, 4, 2, 0))
    for i in range(2):
        curve = one(tasks.query, i)
        assert torch.equal(curve.x, grid())
        path = [theta, *descend(theta, one(tasks.support, i), 10)]
        expected = torch.stack([error(phi, curve) for phi in path]).double()
        torch.testing.assert_close(torch.from_numpy(scores.of_tasks[i]), expected, rtol=1e-4, atol=1e-5)


def test_points_lie_on_their_curves():
    curves = sample_sinusoids(4, torch.Generator().manual_seed(0))
    x, y = curves.points(3, torch.Generator().manual_seed(1))
    assert x.abs().max() <= 5
    expected = curves.amplitude[:, None] * torch.sin(x[..., 0] - curves.phase[:, None])
    torch.testing.assert_close(y[..., 0], expected)


def test_short_training_adapts_far_better_than_pre_training():
    after = {
        name: sinusoid.run(0, name, iterations=300, seed=0, tasks=200, quiet=True).scores.mean
        for name in ("maml", "pre_training")
    }
    assert after["maml"][1] < 0.75 * after["pre_training"][1]
    assert after["maml"][10] < 0.5 * after["pre_training"][10]


def test_a_shorter_method_ends_its_schedules_sooner():
    config = sinusoid.method_config("maml_pp", 100, 1, 5)
    assert (config.seed, config.training.iterations, config.training.evaluation_tasks) == (1, 100, 5)
    assert config.learner.adam.schedule_updates == 100
    whole = sinusoid.method_config("maml_pp", None, 0, 5)
    share = whole.learner.multi_step_updates / whole.training.iterations
    assert config.learner.multi_step_updates == pytest.approx(100 * share, abs=1)


def test_script_writes_table_and_picture(tmp_path):
    arguments = "--methods", "pre_training,reptile", "--iterations", 3, "--tasks", 8, "--output", tmp_path
    done = run_script("sinusoid", *arguments)
    assert done.returncode == 0, done.stderr
    table = (tmp_path / "sinusoid.md").read_text()
    assert table in done.stdout
    with (tmp_path / "sinusoid.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows] == ["pre-training", "Reptile"]
    for row in rows:
        assert int(row["iterations"]) == 3
        (line,) = [line for line in table.splitlines() if line.startswith(f"| {row['method']} ")]
        for cell, step in zip(line.split("|")[2:6], (0, 1, 5, 10), strict=True):
            assert cell.strip() == f"{float(row[f'mse_{step}']):.2f} ± {float(row[f'half_width_{step}']):.2f}"
    assert (tmp_path / "sinusoid.png").read_bytes()[:4] == b"\x89PNG"


def test_a_method_that_breaks_down_loses_no_other(monkeypatch, capsys, tmp_path):
    def one_of_two(names, arguments):
        done = sinusoid.run(0, "pre_training", iterations=1, seed=0, tasks=2)
        return [done, TrainingError("iMAML: the gradient is not finite in iteration 7")]

    monkeypatch.setattr(sinusoid, "run_all", one_of_two)
    monkeypatch.setattr(sys, "argv", ["sinusoid.py", "--output", str(tmp_path)])
    assert sinusoid.main() == 1
    assert "error: iMAML: the gradient is not finite in iteration 7\n" in capsys.readouterr().err
    assert "| pre-training " in (tmp_path / "sinusoid.md").read_text()
    monkeypatch.setattr(sinusoid, "run_all", lambda *given: one_of_two(*given)[1:])
    assert sinusoid.main() == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "maml,reptil"], "--methods: expected some of maml, fomaml"),
        (["--tasks", "1"], "--tasks: expected 2 or more"),
        (["--output", __file__], "File exists"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(monkeypatch, capsys, arguments, message):
    monkeypatch.setattr(sys, "argv", ["sinusoid.py", *arguments])
    assert sinusoid.main() == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line
