from dataclasses import replace

import pytest
import torch

from metarl.compute.task_map import TaskMap
from metarl.errors import NonFiniteError
from metarl.math.parameters import flatten, unflatten
from metarl.meta_learners.gains import final_gain
from metarl.meta_learners.gradient_learner import evaluate
from metarl.meta_learners.maml import MamlConfig, maml, plain_rule, plain_steps
from metarl.meta_learners.outer.trust_region import TrustRegionConfig
from metarl.meta_learners.settings import GradientConfig
from metarl.objectives.policy_gradient import surrogate
from tests.support.references import inner_loss, outer_gain
from tests.support.tiny import (
    TASKS,
    tiny_config,
    tiny_meta_batch,
    tiny_parameters,
    tiny_policy,
)

MAP = TaskMap(2, 2)


def setup(sizes, objective="vpg", **settings):
    policy = tiny_policy()
    theta = tiny_parameters(policy)
    batch = tiny_meta_batch(policy, theta, objective, sizes)
    config = tiny_config(sizes, objective, **settings)
    return policy, theta, batch, config


def learned(config, theta, batch):
    learner = maml(tiny_policy(), config, MAP)
    return learner.update(learner.start(theta), batch)


def gain_and_gradient(config, theta, batch):
    """What the trust region climbs, and its gradient [D]."""
    policy = tiny_policy()
    found = plain_rule(policy, config).gradient(theta, batch, final_gain(surrogate(policy)), MAP)
    return found.gain, flatten(found.gradient)


def evaluation(config, theta, batch):
    """The outer surrogate and the KL."""
    policy = tiny_policy()
    return evaluate(policy, plain_rule(policy, config), final_gain(surrogate(policy)), theta, batch, MAP)


@pytest.mark.parametrize("sizes", [[0.4], [0.4, 0.2], [0.4, 0.2, 0.2]])
@pytest.mark.parametrize("objective", ["vpg", "lvc"])
def test_meta_gradient_equals_finite_differences_of_the_outer_surrogate(sizes, objective):
    _, theta, batch, config = setup(sizes, objective)
    value, gradient = gain_and_gradient(config, theta, batch)
    at, epsilon = flatten(theta), 1e-5

    def surrogate(vector):
        return outer_gain("maml", unflatten(vector, theta), batch, config)

    assert value == pytest.approx(surrogate(at).item(), abs=1e-12)
    for i in range(len(at)):
        step = epsilon * torch.eye(len(at), dtype=torch.float64)[i]
        slope = (surrogate(at + step) - surrogate(at - step)) / (2 * epsilon)
        assert gradient[i].item() == pytest.approx(slope.item(), rel=1e-5, abs=1e-8)


def test_first_and_second_order_differ_exactly_by_the_hessian_term():
    """One step: g_second - g_first = mean_i -alpha H_i g_i, with H_i by autograd."""
    policy, theta, batch, second = setup([0.4])
    first = setup([0.4], first_order=True)[-1]
    difference = gain_and_gradient(second, theta, batch)[1] - gain_and_gradient(first, theta, batch)[1]
    terms = []
    for task in range(TASKS):
        support, query = (
            torch.utils._pytree.tree_map(lambda x, i=task: x[i], data)
            for data in (batch.support[0], batch.query)
        )
        adapted = plain_rule(policy, second).step(theta, support, 0)
        outer = flatten(torch.func.grad(surrogate(policy))(adapted, query))

        def inner(vector, support=support):
            parts = torch.split(vector, [v.numel() for v in theta.values()])
            shaped = {n: p.view_as(v) for (n, v), p in zip(theta.items(), parts, strict=True)}
            return inner_loss(shaped, support, "vpg")

        terms.append(-0.4 * torch.autograd.functional.hessian(inner, flatten(theta)) @ outer)
    torch.testing.assert_close(difference, torch.stack(terms).mean(0), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("sizes", [[0.4], [0.4, 0.2, 0.2]])
def test_ratio_is_one_and_kl_zero_at_the_current_parameters(sizes):
    """The replayed adaptation is the sampled one: J is the mean advantage, and nothing has moved."""
    _, theta, batch, config = setup(sizes)
    found = evaluation(config, theta, batch)
    query = batch.query
    means = [query.advantages[i][query.valid[i]].mean() for i in range(TASKS)]
    assert found.surrogate == pytest.approx(torch.stack(means).mean().item(), abs=1e-12)
    assert found.kl == pytest.approx(0.0, abs=1e-12)


def test_an_accepted_step_improves_within_the_bound():
    _, theta, batch, config = setup([0.1])
    updated = learned(config, theta, batch)
    after = evaluation(config, updated.state.parameters, batch)
    assert updated.rejection is None
    assert updated.metrics["surrogate_after"] > updated.metrics["surrogate_before"]
    assert updated.metrics["surrogate_after"] == pytest.approx(after.surrogate)
    assert 0.002 < after.kl <= 0.01


def test_a_rejected_step_leaves_the_parameters_bit_for_bit():
    never = TrustRegionConfig(max_kl=1e-300, max_backtracks=3)
    _, theta, batch, config = setup([0.1], trust_region=never)
    updated = learned(config, theta, batch)
    assert updated.rejection in ("KL above the bound", "no improvement")
    assert updated.metrics["accepted"] == 0
    assert all(torch.equal(updated.state.parameters[name], value) for name, value in theta.items())


def test_zero_advantages_are_told_apart_from_a_failure():
    _, theta, batch, config = setup([0.1])
    query = batch.query._replace(advantages=torch.zeros_like(batch.query.advantages))
    updated = learned(config, theta, batch._replace(query=query))
    assert updated.rejection == "zero gradient"
    assert all(torch.equal(updated.state.parameters[name], value) for name, value in theta.items())


def test_padding_changes_no_update():
    _, theta, batch, config = setup([0.3])

    def dirty(data):
        garbage = torch.where(data.valid, 0.0, 50.0)
        return data._replace(
            observations=data.observations + garbage[..., None],
            actions=data.actions - garbage[..., None],
            advantages=data.advantages + garbage,
        )

    changed = batch._replace(support=tuple(map(dirty, batch.support)), query=dirty(batch.query))
    clean_state = learned(config, theta, batch).state.parameters
    dirty_state = learned(config, theta, changed).state.parameters
    for name, value in clean_state.items():
        torch.testing.assert_close(dirty_state[name], value, rtol=1e-9, atol=1e-12)


def test_a_non_finite_gradient_names_its_task():
    _, theta, batch, config = setup([0.3])
    advantages = batch.query.advantages.clone()
    advantages[2, 1, 0] = float("nan")
    broken = batch._replace(query=batch.query._replace(advantages=advantages))
    with pytest.raises(NonFiniteError) as raised:
        learned(config, theta, broken)
    assert raised.value.task_index == 2


def test_later_steps_are_scaled():
    config = replace(GradientConfig(), inner_step_size=0.5, later_step_scale=0.5, inner_steps=3)
    assert config.step_sizes == [0.5, 0.25, 0.25]


@pytest.mark.parametrize(
    ("settings", "constant"),
    [
        ({}, [False, False, False]),
        ({"first_order": True}, [True, True, True]),
        ({"differentiated_steps": 0}, [True, True, True]),
        ({"differentiated_steps": 1}, [True, True, False]),
        ({"differentiated_steps": 3}, [False, False, False]),
        ({"first_order": True, "differentiated_steps": 3}, [True, True, True]),
    ],
)
def test_the_settings_tell_which_later_steps_are_differentiated(settings, constant):
    config = GradientConfig(inner_steps=3, **settings)
    assert [config.is_first_order(k) for k in range(3)] == constant


@pytest.mark.parametrize(("differentiated", "first_order"), [(None, False), (3, False), (0, True)])
def test_steps_that_are_all_alike_take_the_hand_derived_curvature(differentiated, first_order):
    config = MamlConfig(inner_steps=3, differentiated_steps=differentiated)
    assert plain_steps(tiny_policy(), config).first_order is first_order


def test_steps_that_differ_take_the_generic_curvature():
    assert plain_steps(tiny_policy(), MamlConfig(inner_steps=3, differentiated_steps=1)) is None


def test_more_differentiated_steps_than_inner_steps_are_refused():
    with pytest.raises(ValueError, match="differentiated_steps: expected at most 2, the inner_steps, got 3"):
        MamlConfig(inner_steps=2, differentiated_steps=3)
