"""MAML++'s schedules, and what they do to the update."""

import math
from dataclasses import replace

import pytest
import torch

from metarl.meta_learners.gains import multi_step_weights
from metarl.meta_learners.learner import named_tensors, with_tensors
from metarl.meta_learners.outer.clipped import ClippedConfig
from tests.support.references import mean_kl, outer_gain
from tests.support.tiny import (
    adam_gradient,
    sampled_meta_batch,
    state_of,
    through_a_checkpoint,
    tiny_learner,
    tiny_state,
)

CLIPPED = ClippedConfig(epochs=1, learning_rate=1e-2)


def setup(steps=3, clipped=CLIPPED, **settings):
    learner, config = tiny_learner("maml_pp", steps, clipped=clipped, **settings)
    theta = tiny_state(learner)
    return learner, config, theta, sampled_meta_batch(learner, theta)


def at_update(learner, theta, number):
    """The state after so many updates of one Adam step each, its moments forgotten."""
    count = torch.tensor(float(number))
    steps = {f"step.{name}": count for name in theta}
    return state_of(learner, theta, updates=count, **steps)


def expected(theta, batch, config, weights, *, first_order):
    leaves = {n: value.clone().requires_grad_() for n, value in theta.items()}
    value = outer_gain(
        "maml_pp", leaves, batch, config, clip=0.3, weights=weights, constant=lambda k: first_order
    )
    found = torch.autograd.grad(value, list(leaves.values()))
    return value.item(), dict(zip(theta, found, strict=True))


@pytest.mark.parametrize(
    ("updates", "weights"),
    [
        (0, [1 / 4, 1 / 4, 1 / 4, 1 / 4]),
        (5, [1 / 8, 1 / 8, 1 / 8, 5 / 8]),
        (9, [0.025, 0.025, 0.025, 0.925]),
        (10, [0, 0, 0, 1]),
        (99, [0, 0, 0, 1]),
    ],
)
def test_weights_move_from_all_steps_to_the_last(updates, weights):
    """In the authors' code they count only while the epoch is below multi_step_loss_num_epochs."""
    assert multi_step_weights(4, updates, 10) == pytest.approx(weights)


def test_while_weights_move_an_earlier_step_keeps_a_least_share():
    assert multi_step_weights(4, 99, 100) == pytest.approx([0.0075, 0.0075, 0.0075, 0.9775])


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
@pytest.mark.parametrize("updates", range(0, 25, 3))
def test_weights_sum_to_one(steps, updates):
    weights = multi_step_weights(steps, updates, 20)
    assert len(weights) == steps
    assert sum(weights) == pytest.approx(1.0)
    assert weights[-1] == pytest.approx(max(weights))


def test_without_annealing_the_last_step_alone_counts():
    assert multi_step_weights(3, 0, 0) == [0, 0, 1]
    assert multi_step_weights(1, 0, 10) == [1]


@pytest.mark.parametrize(("updates", "weights"), [(0, [1 / 3] * 3), (5, [1 / 6, 1 / 6, 2 / 3])])
def test_every_inner_step_is_judged_by_its_weight(updates, weights):
    learner, config, theta, batch = setup(multi_step_updates=10, first_order_updates=0)
    update = learner.update(at_update(learner, theta, updates), batch)
    value, gradient = expected(theta, batch, config, weights, first_order=False)
    assert update.metrics["surrogate_before"] == pytest.approx(value, rel=1e-9)
    assert update.metrics["final_step_weight"] == pytest.approx(weights[-1])
    for n, found in adam_gradient(update, theta).items():
        torch.testing.assert_close(found, gradient[n], rtol=1e-8, atol=1e-11)


def test_what_the_update_led_to_is_measured_at_the_new_parameters():
    learner, config, theta, batch = setup()
    update = learner.update(learner.start(theta), batch)
    leaves = {n: value.clone().requires_grad_() for n, value in update.state.parameters.items()}
    gain = outer_gain("maml_pp", leaves, batch, config, weights=[0, 0, 1])
    assert update.metrics["surrogate_after"] == pytest.approx(gain.item(), rel=1e-8)
    assert update.metrics["kl"] == pytest.approx(mean_kl("maml_pp", leaves, batch, config).item(), rel=1e-7)
    assert update.metrics["kl"] > 1e-5


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_second_order_begins_at_its_update(number):
    learner, config, theta, batch = setup(multi_step_updates=0, first_order_updates=2)
    update = learner.update(at_update(learner, theta, number), batch)
    gradients = [expected(theta, batch, config, [0, 0, 1], first_order=first)[1] for first in (True, False)]
    for n, found in adam_gradient(update, theta).items():
        torch.testing.assert_close(found, gradients[number >= 2][n], rtol=1e-8, atol=1e-11)
    assert update.metrics["second_order"] == (number >= 2)
    assert not torch.allclose(gradients[0]["mean.weight"], gradients[1]["mean.weight"], rtol=1e-2)


def test_the_counter_counts_and_survives_a_checkpoint(tmp_path):
    learner, _, theta, batch = setup(multi_step_updates=4, first_order_updates=2)
    state, metrics = learner.start(theta), []
    for _ in range(4):
        update = learner.update(state, batch)
        again = learner.update(state, batch).state
        state = through_a_checkpoint(update.state, tmp_path)
        again, found = named_tensors(again.optimiser), named_tensors(state.optimiser)
        assert all(torch.equal(again[n], value) for n, value in found.items())
        metrics.append(update.metrics)
    assert state.optimiser.updates == 4
    assert [m["second_order"] for m in metrics] == [0, 0, 1, 1]
    shares = [m["final_step_weight"] for m in metrics]
    assert shares == pytest.approx([1 / 3, 1 / 2, 2 / 3, 5 / 6])


@pytest.mark.parametrize(
    ("updates", "rate"),
    [(0, 1.0), (1, (1 + math.sqrt(0.5)) / 2), (2, 0.5), (3, (1 - math.sqrt(0.5)) / 2), (4, 0.0), (9, 0.0)],
)
def test_the_learning_rate_falls_along_a_cosine(updates, rate):
    falling = replace(CLIPPED, schedule="cosine", schedule_updates=4, final_learning_rate=2e-3)
    learner, _, theta, batch = setup(clipped=falling)
    state, constant = at_update(learner, theta, updates), setup()[0]
    update, usual = (one.update(state, batch) for one in (learner, constant))
    expected_rate = 2e-3 + (1e-2 - 2e-3) * rate
    assert update.metrics["learning_rate"] == pytest.approx(expected_rate)
    step, whole = (one.state.parameters["mean.bias"] - theta["mean.bias"] for one in (update, usual))
    torch.testing.assert_close(step, whole * expected_rate / 1e-2, rtol=1e-7, atol=0)
    assert whole.abs().min() > 1e-5


def test_without_a_schedule_the_learning_rate_stays():
    learner, _, theta, batch = setup()
    assert learner.update(at_update(learner, theta, 500), batch).metrics["learning_rate"] == 1e-2


def test_long_gradients_are_cut():
    short = ClippedConfig(epochs=1, max_gradient_norm=1e-3)
    learner, _, theta, batch = setup(clipped=short)
    update = learner.update(learner.start(theta), batch)
    found = torch.cat([value.flatten() for value in adam_gradient(update, theta).values()])
    assert found.norm().item() == pytest.approx(1e-3)
    assert update.metrics["meta_gradient_norm"] > 1e-2


def test_two_inner_steps_have_two_weights():
    assert multi_step_weights(2, 0, 50) == pytest.approx([1 / 2, 1 / 2])
    assert multi_step_weights(2, 25, 50) == pytest.approx([1 / 4, 3 / 4])


def test_the_tensors_of_a_checkpoint_are_put_in_by_their_names():
    """Of a state in a state; where one is missing, nothing is."""
    learner, _, theta, _ = setup()
    start = learner.start(theta).optimiser
    named = {n: value + 1 for n, value in named_tensors(start).items()}
    found = with_tensors(start, named)
    assert found.updates == 1
    assert torch.equal(found.adam.exp_avg["mean.bias"], torch.ones(2, dtype=torch.float64))
    assert all(torch.equal(value, named[n]) for n, value in named_tensors(found).items())
    with pytest.raises(KeyError):
        with_tensors(start, {})
    with pytest.raises(KeyError, match="updates"):
        with_tensors(start, {n: value for n, value in named.items() if n != "updates"})
