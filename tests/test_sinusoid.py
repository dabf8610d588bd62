"""scripts/sinusoid.py: every method's gradient against a plain loop, and what it writes."""

import csv
import sys
from functools import partial

import pytest
import torch

from metarl.commands import sinusoid
from metarl.compute.task_map import TaskMap
from metarl.errors import TrainingError
from metarl.math.parameters import flatten, unflatten
from metarl.meta_learners.gains import final_gain
from metarl.meta_learners.inner.implicit_rule import Solver, implicit_rule
from metarl.supervised.methods import imaml, learned_descent, maml, maml_pp, pre_training, reptile
from metarl.supervised.sinusoids import (
    Points,
    SinusoidBatch,
    initial_parameters,
    mean_squared_error,
    predict,
    sample_tasks,
)
from metarl.supervised.training import METHODS, adaptation_errors, train
from tests.test_scripts import script

TASKS, ALPHA = 3, 0.01


@pytest.fixture
def theta():
    start = initial_parameters(torch.Generator().manual_seed(0))
    return {name: value.double() for name, value in start.items()}


def batch_of(inner_steps):
    generator = torch.Generator().manual_seed(1)
    tasks = sample_tasks(TASKS, generator)
    support, query = (Points(*(v.double() for v in tasks.points(n, generator))) for n in (10, 40))
    return SinusoidBatch((support,) * inner_steps, query)


def one(points, task):
    return Points(points.x[task], points.y[task])


def error(parameters, points):
    """Written out: y = W2 relu(W1 relu(W0 x + b0) + b1) + b2."""
    value = points.x.T
    for layer in range(3):
        value = parameters[f"{layer}.weight"] @ value + parameters[f"{layer}.bias"][:, None]
        value = value.clamp(min=0) if layer < 2 else value
    return ((value - points.y.T) ** 2).mean()


def gradient(loss, parameters):
    leaves = {name: value.detach().requires_grad_() for name, value in parameters.items()}
    return dict(zip(leaves, torch.autograd.grad(loss(leaves), list(leaves.values())), strict=True))


def descend(parameters, points, steps, alpha=ALPHA, centre=None, strength=0.0):
    """theta^1, ..., theta^K by plain gradient descent."""
    path = []
    for _ in range(steps):
        slopes = gradient(partial(error, points=points), parameters)
        if centre:
            slopes = {n: g + strength * (parameters[n] - centre[n]) for n, g in slopes.items()}
        parameters = {n: value - alpha * slopes[n] for n, value in parameters.items()}
        path.append(parameters)
    return path


def assert_slope(found, objective, at, rel=1e-6):
    """found @ d = (objective(at + e d) - objective(at - e d)) / 2 e along random directions d."""
    vector, generator, epsilon = flatten(at), torch.Generator().manual_seed(2), 1e-7
    for _ in range(3):
        d = torch.randn(len(vector), generator=generator, dtype=torch.float64)
        high, low = (objective(unflatten(vector + sign * epsilon * d, at)).item() for sign in (1, -1))
        expected = (high - low) / (2 * epsilon)
        assert (flatten({n: found[n] for n in at}) @ d).item() == pytest.approx(expected, rel=rel)


@pytest.mark.parametrize("inner_steps", [1, 3])
def test_maml_is_the_slope_of_the_loss_after_adaptation(theta, inner_steps):
    batch = batch_of(inner_steps)

    def objective(at):
        adapted = [descend(at, one(batch.support[0], i), inner_steps)[-1] for i in range(TASKS)]
        return sum(error(phi, one(batch.query, i)) for i, phi in enumerate(adapted)) / TASKS

    assert_slope(maml(theta, batch, 0.0), objective, theta)


def test_first_order_maml_leaves_out_the_hessian_term(theta):
    """(I - alpha H_i) g_i against g_i, g_i the query loss's gradient at theta'_i."""
    batch = batch_of(1)
    first = maml(theta, batch, 0.0, first_order=True)
    outer, missing = [], []
    for i in range(TASKS):
        support, query = one(batch.support[0], i), one(batch.query, i)
        outer.append(flatten(gradient(partial(error, points=query), descend(theta, support, 1)[-1])))
        direction = unflatten(outer[-1], theta)
        slopes = torch.func.grad(partial(error, points=support))
        missing.append(ALPHA * flatten(torch.func.jvp(slopes, (theta,), (direction,))[1]))
    torch.testing.assert_close(flatten(first), torch.stack(outer).mean(0))
    difference = flatten(first) - flatten(maml(theta, batch, 0.0))
    torch.testing.assert_close(difference, torch.stack(missing).mean(0))
    assert difference.norm() > 0.01 * flatten(first).norm()


def test_maml_pp_is_the_slope_of_the_weighted_losses_in_weights_and_step_sizes(theta):
    batch = batch_of(5)
    rule = learned_descent()
    sizes = rule.entries(theta)
    learned = {**theta, **{n: value.double() for n, value in sizes.items()}}
    generator = torch.Generator().manual_seed(3)
    for name in sizes:
        learned[name] = learned[name] * (0.5 + torch.rand((), generator=generator))
    weights = [0.1, 0.1, 0.1, 0.1, 0.6]  # halfway from 1 / 5 each to the last alone

    def objective(at):
        total = 0.0
        for i in range(TASKS):
            phi = {name: at[name] for name in theta}
            for k, weight in enumerate(weights):
                slopes = gradient(partial(error, points=one(batch.support[k], i)), phi)
                phi = {n: v - at[f"step_size.{k}.{n[0]}"] * slopes[n] for n, v in phi.items()}
                total = total + weight * error(phi, one(batch.query, i)) / TASKS
        return total

    found = maml_pp(learned, batch, 0.25)
    assert_slope(found, objective, learned)
    assert set(found) == set(learned)
    points = one(batch.support[0], 0)
    later, last = (rule.step(learned, points, k)["0.bias"] for k in (9, 4))
    assert torch.equal(later, last)


def test_reptile_of_one_step_is_the_mean_gradient_step(theta):
    batch = batch_of(1)
    slopes = gradient(
        lambda at: sum(error(at, one(batch.support[0], i)) for i in range(TASKS)) / TASKS, theta
    )
    torch.testing.assert_close(flatten(reptile(theta, batch, 0.0, steps=1)), ALPHA * flatten(slopes))


def test_reptile_ends_where_steps_on_other_points_do(theta):
    batch = batch_of(1)
    moves = []
    for i in range(TASKS):
        phi, x, y = (
            theta,
            *(torch.cat([s[i], q[i]]) for s, q in zip(batch.support[0], batch.query, strict=True)),
        )
        for k in range(5):
            phi = descend(phi, Points(x[10 * k : 10 * k + 10], y[10 * k : 10 * k + 10]), 1)[-1]
        moves.append(flatten(theta) - flatten(phi))
    torch.testing.assert_close(flatten(reptile(theta, batch, 0.0)), torch.stack(moves).mean(0))


def test_imaml_is_the_slope_of_the_loss_at_the_solutions(theta):
    """Finite differences through inner problems that descent solves: points close to the network's own, as
    far from it descent can end between two linear pieces, where nothing has a derivative."""
    batch, strength, steps = batch_of(1), 20.0, 120
    x, y = batch.support[0]
    support = Points(x, predict(theta, x) + 0.02 * y)

    def objective(at):
        solved = [descend(at, one(support, i), steps, centre=at, strength=strength)[-1] for i in range(TASKS)]
        return sum(error(phi, one(batch.query, i)) for i, phi in enumerate(solved)) / TASKS

    settings = {"regularisation": strength, "solver_steps": steps, "cg_iterations": 60}
    assert_slope(imaml(theta, SinusoidBatch((support,), batch.query), 0.0, **settings), objective, theta)


def test_tasks_systems_solved_as_blocks_of_one_have_the_tasks_own_solutions(theta):
    found = []
    for jointly in (False, True):
        solver = Solver(8, 80, 1e-24, jointly)
        rule = implicit_rule(mean_squared_error, lambda k: ALPHA, lambda k: 20.0 + k, solver)
        gain = final_gain(lambda at, points: -mean_squared_error(at, points))
        found.append(rule.gradient(theta, batch_of(2), gain, TaskMap(2, 1)))
    one, together = (flatten(each.gradient) for each in found)
    torch.testing.assert_close(together, one, rtol=1e-6, atol=1e-9)
    assert found[1].gain == pytest.approx(found[0].gain)


def test_pre_training_is_the_gradient_over_all_points(theta):
    batch = batch_of(1)
    x, y = (torch.cat([s, q], 1).reshape(-1, 1) for s, q in zip(batch.support[0], batch.query, strict=True))
    expected = gradient(partial(error, points=Points(x, y)), theta)
    torch.testing.assert_close(flatten(pre_training(theta, batch, 0.0)), flatten(expected))


def test_errors_are_those_of_steps_on_the_same_points(theta):
    start = {name: value.float() for name, value in theta.items()}
    tasks = sample_tasks(2, torch.Generator().manual_seed(4))
    support = tasks.points(5, torch.Generator().manual_seed(5))
    found = adaptation_errors(METHODS["maml"], start, tasks, support)
    x = torch.linspace(-5, 5, 201)[:, None]
    for i in range(2):
        curve = Points(x, tasks.amplitude[i] * torch.sin(x - tasks.phase[i]))
        path = [start, *descend(start, one(support, i), 10)]
        torch.testing.assert_close(found[i], torch.stack([mean_squared_error(phi, curve) for phi in path]))


def test_short_training_adapts_far_better_than_pre_training():
    generator = torch.Generator().manual_seed(6)
    tasks = sample_tasks(200, generator)
    support = tasks.points(5, generator)
    after = {}
    for name in ("maml", "pre_training"):
        parameters = train(METHODS[name], 0, range(300), 300)
        after[name] = adaptation_errors(METHODS[name], parameters, tasks, support).mean(0)
    assert after["maml"][1] < 0.75 * after["pre_training"][1]
    assert after["maml"][10] < 0.5 * after["pre_training"][10]


def test_script_writes_table_and_picture(tmp_path):
    arguments = "--methods", "pre_training,reptile", "--iterations", 3, "--tasks", 8, "--output", tmp_path
    done = script("sinusoid", *arguments)
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
