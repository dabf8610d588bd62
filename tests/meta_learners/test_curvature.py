import pytest
import torch

from metarl.compute.task_map import TaskMap, select_task
from metarl.math.parameters import flatten, unflatten
from metarl.meta_learners.inner.gradient_rules import LOG_STEP_SIZE, learned_size
from metarl.meta_learners.inner.rule import PlainSteps
from metarl.meta_learners.maml import plain_rule
from metarl.meta_learners.outer.curvature import generic_curvature_product
from metarl.meta_learners.outer.mlp_curvature import hessian_product, mlp_curvature_product
from metarl.objectives.policy_gradient import inner_loss
from tests.support.references import inner_loss as reference_inner_loss
from tests.support.references import mean_kl
from tests.support.tiny import (
    ACTIVATIONS,
    tiny_config,
    tiny_meta_batch,
    tiny_parameters,
    tiny_policy,
)

MAP = TaskMap(chunk_size=2, threads=2)


def products(activation, objective, sizes, *, first_order=False, log_std=None):
    policy = tiny_policy(activation)
    theta = tiny_parameters(policy)
    if log_std is not None:
        theta["log_std"] = torch.tensor(log_std, dtype=torch.float64)
    batch = tiny_meta_batch(policy, theta, objective, sizes)
    config = tiny_config(sizes, objective, first_order=first_order)
    adapt, support = plain_rule(policy, config).linearised(theta, batch, MAP)
    generic = generic_curvature_product(policy, adapt, theta, support, batch.query, MAP)
    rule = PlainSteps(objective, inner_loss(policy, objective), sizes, first_order)
    return policy, theta, batch, generic, mlp_curvature_product(policy, rule, theta, batch, MAP)


def assert_product_of(matrix, product):
    """On a few random vectors: enough to tell two matrices apart."""
    generator = torch.Generator().manual_seed(0)
    for vector in torch.randn(3, len(matrix), generator=generator, dtype=torch.float64):
        torch.testing.assert_close(product(vector), matrix @ vector, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("sizes", [[0.3], [0.3, 0.1], [0.3, 0.1, 0.1]])
@pytest.mark.parametrize("objective", ["vpg", "lvc"])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_both_products_are_the_explicit_hessian_of_the_mean_kl(activation, objective, sizes):
    _, theta, batch, generic, by_hand = products(activation, objective, sizes)
    at = flatten(theta)

    def divergence(vector):
        config = tiny_config(sizes, objective)
        return mean_kl("maml", unflatten(vector, theta), batch, config, activation=ACTIVATIONS[activation])

    hessian = torch.autograd.functional.hessian(divergence, at)
    assert_product_of(hessian, generic)
    assert_product_of(hessian, by_hand)


@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("sizes", [[0.3], [0.3, 0.1, 0.05]])
@pytest.mark.parametrize("objective", ["vpg", "lvc"])
def test_a_learned_size_is_one_more_row_of_both_products(objective, sizes, first_order):
    """The size is 0.2 at first, and not where it started."""
    policy = tiny_policy("tanh")
    own = tiny_parameters(policy)
    batch = tiny_meta_batch(policy, own, objective, sizes)
    plain = PlainSteps(objective, inner_loss(policy, objective), sizes, first_order, LOG_STEP_SIZE)
    rule = learned_size(plain.loss, sizes.__getitem__, first_order=lambda k: first_order)
    theta = {**own, LOG_STEP_SIZE: torch.tensor(0.2, dtype=torch.float64).log()}
    adapt, support = rule.linearised(theta, batch, MAP)
    generic = generic_curvature_product(policy, adapt, theta, support, batch.query, MAP)
    by_hand = mlp_curvature_product(policy, plain, theta, batch, MAP)
    generator = torch.Generator().manual_seed(0)
    for vector in torch.randn(2, len(flatten(theta)), generator=generator, dtype=torch.float64):
        expected = generic(vector)
        assert expected[-1].abs() > 1e-3
        torch.testing.assert_close(by_hand(vector), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("log_std", [[-20.0, 0.1], [-20.0, -20.0]])
def test_a_standard_deviation_at_its_floor_has_no_curvature(log_std):
    *_, theta, _, generic, by_hand = products("tanh", "vpg", [0.3], log_std=log_std)
    vector = torch.randn(len(flatten(theta)), dtype=torch.float64)
    torch.testing.assert_close(by_hand(vector), generic(vector), rtol=1e-8, atol=1e-8)


def test_first_order_is_the_fisher_matrix_at_the_adapted_policies():
    _, theta, _, generic, by_hand = products("tanh", "vpg", [0.3, 0.1], first_order=True)
    *_, second_order = products("tanh", "vpg", [0.3, 0.1])
    vector = torch.randn(len(flatten(theta)), dtype=torch.float64)
    torch.testing.assert_close(by_hand(vector), generic(vector), rtol=1e-10, atol=1e-12)
    assert not torch.allclose(by_hand(vector), second_order(vector), rtol=1e-3)


@pytest.mark.parametrize("objective", ["vpg", "lvc"])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_hessian_product_is_the_explicit_hessian_of_the_inner_loss(activation, objective):
    """Away from the behaviour policy, where "lvc" ratios are not 1."""
    policy = tiny_policy(activation)
    theta = tiny_parameters(policy)
    batch = select_task(tiny_meta_batch(policy, tiny_parameters(policy, seed=1), objective, [0.1]).query, 0)
    at = flatten(theta)

    def loss(vector):
        parts = torch.split(vector, [value.numel() for value in theta.values()])
        shaped = {n: p.view_as(v) for (n, v), p in zip(theta.items(), parts, strict=True)}
        return reference_inner_loss(shaped, batch, objective, ACTIVATIONS[activation])

    hessian = torch.autograd.functional.hessian(loss, at)
    assert_product_of(hessian, hessian_product(policy, objective, theta, batch))
