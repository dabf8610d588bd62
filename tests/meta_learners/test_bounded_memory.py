"""What an update holds of many tasks is bounded, and what it learns is the same to the bit."""

import gc
from dataclasses import fields, replace

import pytest
import torch
from torch.utils._pytree import tree_map

from metarl.compute import pieces
from metarl.compute.task_map import TaskMap
from metarl.math.parameters import flatten
from metarl.meta_learners.inner.gradient_rules import LOG_STEP_SIZE
from metarl.meta_learners.inner.rule import PlainSteps
from metarl.meta_learners.outer import mlp_curvature
from metarl.objectives.policy_gradient import inner_loss
from metarl.policies.gaussian_mlp import GaussianMLP
from metarl.rollouts.advantages import AdvantageConfig, compute_advantages
from tests.rollouts.test_advantages import rollout
from tests.support.tiny import tiny_meta_batch, tiny_parameters

SIZES, HIDDEN = [0.3, 0.1], 40


@pytest.fixture(scope="module")
def problem():
    """A network whose layers are wide for the little that its batch holds."""
    policy = GaussianMLP(observation_size=3, action_size=2, hidden_sizes=(HIDDEN, HIDDEN))
    theta = tiny_parameters(policy)
    return policy, theta, tiny_meta_batch(policy, theta, "vpg", SIZES)


def product_of(problem, **rule):
    policy, theta, batch = problem
    if "log_size" in rule:
        theta = {**theta, LOG_STEP_SIZE: torch.tensor(0.2, dtype=torch.float64).log()}
    plain = PlainSteps("vpg", inner_loss(policy, "vpg"), SIZES, **{"first_order": False, **rule})
    return flatten(theta), mlp_curvature.mlp_curvature_product(policy, plain, theta, batch, TaskMap(1, 2))


def whole_passes(problem):
    """Bytes of all tasks' passes: layers' inputs, slopes, deltas and curls, of the query the first two."""
    batch = problem[2]
    steps = [int(data.valid.sum()) for data in (*batch.support, batch.query)]
    return 8 * 2 * HIDDEN * (4 * sum(steps[:-1]) + 2 * steps[-1])


def held():
    """Bytes of all tensors that are alive."""
    gc.collect()
    found = {}
    for one in gc.get_objects():
        if type(one) is torch.Tensor:
            storage = one.untyped_storage()
            found[storage.data_ptr()] = storage.nbytes()
    return sum(found.values())


@pytest.mark.parametrize("rule", [{}, {"first_order": True}, {"log_size": LOG_STEP_SIZE}])
def test_passes_that_are_not_kept_are_the_same(problem, monkeypatch, rule):
    at, whole = product_of(problem, **rule)
    vector = torch.randn(len(at), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for share in (0.0, 0.4, 0.8):
        monkeypatch.setattr(mlp_curvature, "KEPT_BYTES", int(share * whole_passes(problem)))
        assert torch.equal(product_of(problem, **rule)[1](vector), whole(vector))


@pytest.mark.parametrize("share", [0.0, 0.4, 0.8])
def test_kept_passes_are_within_their_bound(problem, monkeypatch, share):
    before = held()
    everything = product_of(problem)[1]
    assert held() - before > 0.9 * whole_passes(problem)
    del everything
    bound = int(share * whole_passes(problem))
    monkeypatch.setattr(mlp_curvature, "KEPT_BYTES", bound)
    product = product_of(problem)[1]
    own = held() - before
    assert own < bound + 0.3 * whole_passes(problem), "adapted parameters, and what rounds up"
    assert own > bound - 0.5 * whole_passes(problem)
    del product


def many(data, times):
    """The rollout with its tasks so many times."""
    parts = {one.name: getattr(data, one.name) for one in fields(data)}
    tensors = {name: value for name, value in parts.items() if name not in ("diverged_episodes", "carry")}
    return replace(data, **tree_map(lambda x: None if x is None else torch.cat([x] * times), tensors))


@pytest.mark.parametrize("at_once", [1, 4, 7])
def test_advantages_of_many_tasks_are_those_of_each(monkeypatch, at_once):
    config = AdvantageConfig(bootstrap_truncated=True)
    expected, explained = compute_advantages(rollout(), config)
    monkeypatch.setattr(pieces, "TASKS_AT_ONCE", at_once)
    batch, found = compute_advantages(many(rollout(), 4), config)
    for i in range(4):
        torch.testing.assert_close(batch.advantages[2 * i : 2 * i + 2], expected.advantages)
        torch.testing.assert_close(found[2 * i : 2 * i + 2], explained)
