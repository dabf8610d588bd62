"""The first-order outer step: clipping by hand, Adam against torch's own loop."""

from dataclasses import replace

import pytest
import torch

from metarl.compute.task_map import select_task
from metarl.math.parameters import flatten
from metarl.meta_learners.learner import named_tensors
from metarl.meta_learners.outer.clipped import ClippedConfig
from metarl.meta_learners.registry import META_LEARNERS
from metarl.objectives.policy_gradient import clipped_surrogate
from tests.support.references import outer_gain
from tests.support.tiny import (
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


@pytest.mark.parametrize("name", sorted(META_LEARNERS))
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


def test_an_update_leaves_the_given_state_alone():
    learner, _, theta, batch = trained("promp")
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
