"""The trust region of every algorithm that offers one."""

import pytest
import torch

from metarl.compute.task_map import TaskMap
from metarl.math.parameters import flatten, unflatten
from metarl.meta_learners.anil import head_rule
from metarl.meta_learners.cavia import context_rule
from metarl.meta_learners.imaml import solution_rule
from metarl.meta_learners.maml import plain_rule
from metarl.meta_learners.meta_sgd import sizes_rule
from metarl.meta_learners.outer.curvature import curvature_product, generic_curvature_product
from metarl.meta_learners.registry import META_LEARNERS
from tests.support.references import kl, mean_kl, outer_gain
from tests.support.tiny import adapted_by, sampled_meta_batch, tiny_learner, tiny_state

SOLVABLE = {"regularisation": 25.0, "inner_step_size": 0.04, "later_step_scale": 1.0}
EXACT = ["maml", "anil", "e_maml", "meta_sgd", "cavia"]
"""Those whose curvature is the Hessian of the mean KL through the adaptation."""
RULES = {
    "maml": plain_rule,
    "e_maml": plain_rule,
    "anil": head_rule,
    "meta_sgd": sizes_rule,
    "cavia": context_rule,
    "imaml": solution_rule,
}
OFFERING = [n for n, r in META_LEARNERS.items() if getattr(r.config(), "outer", None) == "trpo"]


def setup(name, steps, **settings):
    learner, config = tiny_learner(name, steps, **settings)
    theta = tiny_state(learner)
    return learner, config, theta, sampled_meta_batch(learner, theta)


def directions(theta, n=3):
    generator = torch.Generator().manual_seed(5)
    return torch.randn(n, len(flatten(theta)), generator=generator, dtype=torch.float64)


def curvatures(learner, name, theta, batch, config):
    """The product that the learner takes here, and that of torch.func."""
    rule, task_map = RULES[name](learner.policy, config), TaskMap(2, 2)
    adapt, data = rule.linearised(theta, batch, task_map)
    generic = generic_curvature_product(learner.policy, adapt, theta, data, batch.query, task_map)
    return curvature_product(learner.policy, rule, theta, batch, task_map), generic


def assert_curvature_is_the_hessian_of_the_mean_kl(name, steps, constant=lambda k: False, **settings):
    learner, config, theta, batch = setup(name, steps, **settings)
    at = flatten(theta).requires_grad_()
    divergence = mean_kl(name, unflatten(at, theta), batch, config, constant)
    (slope,) = torch.autograd.grad(divergence, at, create_graph=True)
    assert divergence.item() == pytest.approx(0, abs=1e-12)
    products = curvatures(learner, name, theta, batch, config)
    for vector in directions(theta):
        (expected,) = torch.autograd.grad(slope, at, vector, retain_graph=True)
        for product in products:
            torch.testing.assert_close(product(vector), expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("objective", ["vpg", "lvc"])
@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("name", EXACT)
def test_curvature_is_the_hessian_of_the_mean_kl(name, steps, objective):
    assert_curvature_is_the_hessian_of_the_mean_kl(name, steps, inner_objective=objective)


@pytest.mark.parametrize("name", EXACT)
def test_curvature_is_truncated_as_the_gradient_is(name):
    first_is_constant = {"constant": lambda k: k < 1, "differentiated_steps": 1}
    assert_curvature_is_the_hessian_of_the_mean_kl(name, 2, **first_is_constant)


@pytest.mark.parametrize("name", ["maml", "imaml"])
def test_constant_inner_gradients_leave_the_fisher_matrix_of_the_adapted_policies(name):
    """For first-order MAML and, as it says, for iMAML."""
    own = {"first_order": True} if name == "maml" else SOLVABLE
    learner, config, theta, batch = setup(name, 2, **own)
    product, _ = curvatures(learner, name, theta, batch, config)
    adapted = []
    for i in range(batch.tasks):
        current = theta
        for k, data in enumerate(batch.support):
            support = torch.utils._pytree.tree_map(lambda part, i=i: part[i], data)
            current = adapted_by(learner, current, support, k)
        adapted.append({n: current[n].detach() for n in theta})
    for vector in directions(theta):
        expected = []
        for i, phi in enumerate(adapted):
            query = torch.utils._pytree.tree_map(lambda part, i=i: part[i], batch.query)
            expected.append(fisher_vector_product(phi, query, vector))
        torch.testing.assert_close(product(vector), torch.stack(expected).mean(0), rtol=1e-8, atol=1e-10)


def fisher_vector_product(phi, query, vector):
    """The Hessian of the KL at a policy of its own, by double backward."""
    at = flatten(phi).requires_grad_()
    (slope,) = torch.autograd.grad(kl(unflatten(at, phi), query), at, create_graph=True)
    return torch.autograd.grad(slope, at, vector)[0]


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("name", OFFERING)
def test_the_step_improves_within_the_bound(name, steps):
    learner, config, theta, batch = setup(name, steps, **(SOLVABLE if name == "imaml" else {}))
    update = learner.update(learner.start(theta), batch)
    metrics, after = update.metrics, update.state.parameters
    assert update.rejection is None
    assert metrics["surrogate_after"] > metrics["surrogate_before"]
    assert 1e-4 < metrics["kl"] <= 0.01
    assert list(after) == list(theta)
    if name not in EXACT:
        return
    leaves = {n: value.clone().requires_grad_() for n, value in after.items()}
    assert metrics["kl"] == pytest.approx(mean_kl(name, leaves, batch, config).item(), rel=1e-6)
    gain = outer_gain(name, leaves, batch, config).item()
    assert metrics["surrogate_after"] == pytest.approx(gain, rel=1e-8)
