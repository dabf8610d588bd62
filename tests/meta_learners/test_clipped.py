"""The first-order outer step: clipping by hand, Adam against torch's own loop."""

import math
from dataclasses import replace

import pytest
import torch

from metarl.compute.task_map import select_task
from metarl.errors import NonFiniteError
from metarl.math.parameters import flatten
from metarl.meta_learners.inner.meta_gradient import MetaGradient
from metarl.meta_learners.learner import named_tensors
from metarl.meta_learners.outer.clipped import LARGEST_KL, ClippedConfig, adam_start, clipped_step, why_wild
from metarl.meta_learners.outer.outer_step import SurrogateAndKl
from metarl.objectives.policy_gradient import clipped_surrogate
from tests.support.references import outer_gain
from tests.support.tiny import (
    BY_GRADIENT,
    by_adam,
    sampled_meta_batch,
    through_a_checkpoint,
    tiny_learner,
    tiny_policy,
    tiny_state,
)

CLIPPED = ClippedConfig(learning_rate=0.05, epochs=3, clip=0.2)


def trained(name, **settings):
    learner, config = tiny_learner(name, 2, **{"outer": "ppo", "clipped": CLIPPED, **settings})
    theta = tiny_state(learner)
    return learner, config, theta, sampled_meta_batch(learner, theta)


def test_clipping_by_hand():
    """Ratios 1.5 and 0.5 at advantages +1 and -1: 1.3, 0.5, -1.5 and -0.7; the first and last are flat."""
    learner, _, theta, batch = trained("maml")
    query = select_task(batch.query, 0)
    ratios = torch.tensor([1.5, 0.5, 1.5, 0.5], dtype=torch.float64)
    signs = torch.tensor([1.0, 1.0, -1.0, -1.0], dtype=torch.float64)
    mean, log_std = learner.policy(theta, query.observations)
    log_prob = torch.distributions.Normal(mean, log_std.exp()).log_prob(query.actions).sum(-1)
    valid = torch.zeros_like(query.valid)
    valid[1, :4] = True
    behaviour, advantages = log_prob.clone(), torch.full_like(log_prob, 99.0)
    behaviour[1, :4] -= ratios.log()
    advantages[1, :4] = signs
    data = query._replace(behaviour_log_prob=behaviour, advantages=advantages, valid=valid)
    objective = clipped_surrogate(tiny_policy(), 0.3)
    assert objective(theta, data).item() == pytest.approx((1.3 + 0.5 - 1.5 - 0.7) / 4)
    for step, flat in enumerate([True, False, False, True]):
        only = torch.zeros_like(valid)
        only[1, step] = True
        gradient = torch.func.grad(objective)(theta, data._replace(valid=only))
        assert (gradient["mean.bias"].abs().max() == 0) == flat


@pytest.mark.parametrize("name", ["promp", "maml"])
def test_epochs_are_those_of_a_plain_adam_loop(name):
    """Two updates, so that the second goes on from the first's moments."""
    learner, config, theta, batch = trained(name)
    leaves = {n: value.clone().requires_grad_() for n, value in theta.items()}
    adam = torch.optim.Adam(leaves.values(), lr=0.05, maximize=True)
    state = learner.start(theta)
    for _ in range(2):
        values = []
        for _ in range(3):
            value = outer_gain(name, leaves, batch, config, clip=0.2)
            gradients = torch.autograd.grad(value, list(leaves.values()))
            for leaf, gradient in zip(leaves.values(), gradients, strict=True):
                leaf.grad = gradient
            adam.step()
            values.append(value.item())
        update = learner.update(state, batch)
        state = update.state
        for n, leaf in leaves.items():
            torch.testing.assert_close(state.parameters[n], leaf.detach(), rtol=1e-8, atol=1e-10)
        assert update.metrics["surrogate_before"] == pytest.approx(values[0])
        assert update.metrics["surrogate_last_epoch"] == pytest.approx(values[-1])
    after = outer_gain(name, leaves, batch, config)
    assert update.metrics["surrogate_after"] == pytest.approx(after.item())


@pytest.mark.parametrize("name", BY_GRADIENT)
def test_moments_survive_a_checkpoint_bit_for_bit(name, tmp_path):
    learner, _ = tiny_learner(name, 2, **by_adam(name, 0.05, epochs=3))
    theta = tiny_state(learner)
    batch = sampled_meta_batch(learner, theta)
    once = learner.update(learner.start(theta), batch).state
    through = learner.update(through_a_checkpoint(once, tmp_path), batch).state
    straight = learner.update(once, batch).state
    forgetful = learner.update(learner.start(once.parameters), batch).state
    assert list(through.parameters) == list(theta)
    for n, value in straight.parameters.items():
        assert torch.equal(through.parameters[n], value)
    assert not torch.allclose(flatten(forgetful.parameters), flatten(straight.parameters), rtol=1e-4)
    kept = named_tensors(through.optimiser)
    for n, value in named_tensors(straight.optimiser).items():
        assert torch.equal(kept[n], value)


@pytest.mark.parametrize("name", ["promp", "reptile"])
def test_an_update_leaves_the_given_state_alone(name):
    learner, _ = tiny_learner(name, 2, **by_adam(name, 0.05))
    theta = tiny_state(learner)
    batch = sampled_meta_batch(learner, theta)
    once = learner.update(learner.start(theta), batch).state
    kept = {**once.parameters, **named_tensors(once.optimiser)}
    before = {n: value.clone() for n, value in kept.items()}
    learner.update(once, batch)
    for n, value in before.items():
        assert torch.equal(kept[n], value)


@pytest.mark.parametrize("longest", [0.01, 100.0])
def test_long_gradients_are_cut_and_short_ones_left(longest):
    plain = trained("maml", clipped=replace(CLIPPED, epochs=1))
    cut = trained("maml", clipped=replace(CLIPPED, epochs=1, max_gradient_norm=longest))
    moments, found = (
        named_tensors(learner.update(learner.start(theta), batch).state.optimiser)
        for learner, _, theta, batch in (plain, cut)
    )
    norm = torch.cat([10 * moments[f"exp_avg.{n}"].flatten() for n in plain[2]]).norm().item()
    assert 0.01 < norm < 100
    for n in plain[2]:
        expected = moments[f"exp_avg.{n}"] * min(1.0, longest / norm)
        torch.testing.assert_close(found[f"exp_avg.{n}"], expected, rtol=1e-9, atol=0)


def step_on_a_line(after, fails_beyond=math.inf):
    """From 0 up a gain of 3 + x with slope 1 + x; whatever is reached is judged as `after`."""
    start = {"x": torch.zeros(1)}

    def gradient_at(theta):
        x = theta["x"].item()
        if x > fails_beyond:
            raise NonFiniteError("a slope", 0)
        return MetaGradient({"x": 1 + theta["x"]}, 3 + x, {"seen": x})

    return clipped_step(start, adam_start(start), gradient_at, lambda theta: after, CLIPPED)


@pytest.mark.parametrize("after", [SurrogateAndKl(9.0, 0.5), SurrogateAndKl(9.0, math.inf)])
def test_what_is_told_of_a_step_is_told_of_its_beginning_and_its_end(after):
    result = step_on_a_line(after)
    kept = math.isfinite(after.kl)
    assert (result.rejection is None) == kept
    told = {"surrogate_before": 3.0, "seen": 0.0, "meta_gradient_norm": 1.0, "accepted": float(kept)}
    told |= {"surrogate_after": 9.0 if kept else 3.0, "kl": 0.5 if kept else 0.0}
    assert told.items() <= result.metrics.items()
    assert result.metrics["surrogate_last_epoch"] == pytest.approx(3 + 2 * 0.05, rel=1e-3)


def test_a_slope_that_is_not_finite_is_an_error_where_the_step_begins_and_later_a_rejection():
    fine = SurrogateAndKl(9.0, 0.5)
    with pytest.raises(NonFiniteError, match="a slope"):
        step_on_a_line(fine, fails_beyond=-1.0)
    result = step_on_a_line(fine, fails_beyond=0.0)
    assert result.rejection.startswith("not finite")
    assert result.parameters["x"] == 0


@pytest.mark.parametrize(
    ("x", "after", "reason"),
    [
        ([1.0, 2.0], (0.0, LARGEST_KL), None),
        ([1.0, 2.0], (0.0, LARGEST_KL + 1e-6), "KL above 89"),
        ([1.0, math.inf], (0.0, 0.0), "not finite"),
        ([math.nan, math.nan], (0.0, 0.0), "not finite"),
        ([1.0, 2.0], (math.nan, 0.0), "not finite"),
        ([1.0, 2.0], (0.0, math.nan), "not finite"),
    ],
)
def test_a_step_is_wild_if_anything_is_not_finite_or_policies_are_too_far_apart(x, after, reason):
    found = why_wild({"x": torch.tensor(x)}, SurrogateAndKl(*after), "size")
    assert found == (reason and f"{reason}: try a smaller size")


def test_the_logarithm_of_a_step_size_moves_by_larger_steps():
    """Adam's first step moves every number by the rate, and this one by twenty times as much."""
    once = ClippedConfig(learning_rate=1e-3, epochs=1)
    learner, _, theta, batch = trained("promp", learn_step_size=True, clipped=once)
    after = learner.update(learner.start(theta), batch).state.parameters
    moved = {name: (value - theta[name]).abs().max().item() for name, value in after.items()}
    assert moved.pop("step_size.log") == pytest.approx(0.02, rel=1e-3)
    assert max(moved.values()) == pytest.approx(1e-3, rel=1e-3)
