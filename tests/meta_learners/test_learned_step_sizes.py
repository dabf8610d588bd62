"""Meta-SGD's and MAML++'s step sizes: parameters like any other."""

import itertools

import pytest
import torch

from metarl.compute.task_map import select_task
from metarl.meta_learners.learner import learned_metrics
from metarl.meta_learners.outer.clipped import ClippedConfig
from tests.support.references import STEP_SIZE, outer_gain
from tests.support.tiny import adam_gradient, adapted_by, sampled_meta_batch, tiny_learner, tiny_state

PLAIN = {"outer": "ppo", "clipped": ClippedConfig(epochs=1)}
OWN = {
    "maml": {"learn_step_size": True},
    "promp": {"learn_step_size": True, "kl_penalty": 0.1},
    "maml_pp": {"multi_step_updates": 0, "first_order_updates": 0},
}


def setup(name, steps, **settings):
    learner, config = tiny_learner(name, steps, **{**PLAIN, **OWN.get(name, {}), **settings})
    theta = tiny_state(learner)
    return learner, config, theta, sampled_meta_batch(learner, theta)


@pytest.mark.parametrize(
    ("name", "steps"),
    [*itertools.product(("maml", "promp", "meta_sgd"), (1, 2)), ("maml_pp", 1), ("maml_pp", 3)],
)
def test_their_gradient_equals_finite_differences(name, steps):
    learner, config, theta, batch = setup(name, steps)
    gradient = adam_gradient(learner.update(learner.start(theta), batch), theta)
    learned = [n for n in theta if n.startswith(STEP_SIZE)]
    weights, epsilon = [0.0] * (steps - 1) + [1.0], 1e-5
    steep = 0
    for n in learned:
        for i in range(min(theta[n].numel(), 4)):
            values = []
            for sign in (1, -1):
                moved = {other: value.clone() for other, value in theta.items()}
                moved[n].view(-1)[i] += sign * epsilon
                values.append(outer_gain(name, moved, batch, config, weights=weights).item())
            slope = (values[0] - values[1]) / (2 * epsilon)
            assert gradient[n].view(-1)[i].item() == pytest.approx(slope, rel=1e-5, abs=1e-9)
            steep += abs(slope) > 1e-4
    assert steep > len(learned) / 2


def test_maml_has_one_for_all():
    learner, _, theta, _ = setup("maml", 2)
    start = learner.initial_state(torch.Generator()).parameters
    assert [n for n in theta if n.startswith(STEP_SIZE)] == ["step_size.log"]
    assert start["step_size.log"].exp().item() == pytest.approx(0.3)


def test_meta_sgd_has_one_for_every_parameter():
    learner, _ = tiny_learner("meta_sgd", 2)
    state = learner.initial_state(torch.Generator().manual_seed(0)).parameters
    own = [n for n in state if not n.startswith(STEP_SIZE)]
    assert list(state) == own + [STEP_SIZE + n for n in own]
    for n in own:
        assert torch.equal(state[STEP_SIZE + n], torch.full_like(state[n], 0.3))


def test_maml_pp_has_one_for_every_layer_and_inner_step():
    learner, _ = tiny_learner("maml_pp", 3)
    state = learner.initial_state(torch.Generator().manual_seed(0)).parameters
    layers = ["hidden.0", "hidden.1", "mean", "log_std"]
    for k, size in enumerate([0.3, 0.15, 0.15]):
        for layer in layers:
            assert state[f"{STEP_SIZE}{k}.{layer}"].item() == pytest.approx(size)
    assert sum(n.startswith(STEP_SIZE) for n in state) == 12


@pytest.mark.parametrize("name", ["meta_sgd", "maml_pp"])
def test_adaptation_uses_them_and_leaves_them(name):
    learner, _, theta, batch = setup(name, 2)
    support = select_task(batch.support[0], 0)
    for k in (0, 1):
        adapted = adapted_by(learner, theta, support, k)
        for n, value in theta.items():
            assert torch.equal(adapted[n], value) == n.startswith(STEP_SIZE)
        zero = {n: torch.zeros_like(v) if n.startswith(STEP_SIZE) else v for n, v in theta.items()}
        still = adapted_by(learner, zero, support, k)
        assert all(torch.equal(still[n], value) for n, value in zero.items())


def test_steps_beyond_those_trained_take_the_last_sizes():
    learner, _, theta, batch = setup("maml_pp", 2)
    support = select_task(batch.support[0], 0)
    last, first = adapted_by(learner, theta, support, 1), adapted_by(learner, theta, support, 0)
    for beyond in (2, 7):
        assert all(
            torch.equal(value, last[n]) for n, value in adapted_by(learner, theta, support, beyond).items()
        )
    assert not torch.equal(first["mean.weight"], last["mean.weight"])


@pytest.mark.parametrize("name", ["maml", "meta_sgd"])
def test_a_trust_region_moves_them_too(name):
    learner, _, theta, batch = setup(name, 1, outer="trpo")
    after = learner.update(learner.start(theta), batch).state.parameters
    for n in theta:
        assert not torch.equal(after[n], theta[n])


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("maml", "mean_of_step_size.log"),
        ("meta_sgd", "mean_of_step_size.mean.weight"),
        ("maml_pp", "mean_of_step_size.0.mean"),
        ("cavia", "mean_of_context"),
    ],
)
def test_learned_quantities_are_in_the_updates_metrics(name, key):
    """Their root mean square too, since the mean of a context says little; not the policy's own weights."""
    learner, _, theta, batch = setup(name, 1)
    update = learner.update(learner.start(theta), batch)
    value = update.state.parameters[key.removeprefix("mean_of_")]
    assert update.metrics[key] == pytest.approx(value.mean().item())
    assert (key.replace("mean_of_", "rms_of_") in update.metrics) == (value.numel() > 1)
    if value.numel() > 1:
        squares = [number**2 for number in value.flatten().tolist()]
        rms = update.metrics[key.replace("mean_of_", "rms_of_")]
        assert rms == pytest.approx((sum(squares) / len(squares)) ** 0.5)
    assert not {"mean_of_mean.weight", "mean_of_hidden.0.bias"} & set(update.metrics)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_more_than_one_number_has_a_root_mean_square(size):
    values = torch.arange(1.0, 1.0 + size)
    found = learned_metrics({"context": values, "mean.bias": values}, {"context": values})
    expected = {"mean_of_context": values.mean().item()}
    if size > 1:
        expected["rms_of_context"] = values.square().mean().sqrt().item()
    assert found == pytest.approx(expected)
