"""Every algorithm's meta-gradient against plain autograd, through K inner steps."""

import pytest
import torch

from metarl.compute.task_map import TaskMap
from metarl.math.parameters import flatten
from metarl.meta_learners.gains import multi_step_weights
from metarl.meta_learners.outer.clipped import ClippedConfig
from tests.support.references import outer_gain
from tests.support.tiny import adam_gradient, sampled_meta_batch, tiny_learner, tiny_state

NAMES = ["maml", "anil", "e_maml", "promp", "meta_sgd", "maml_pp", "cavia"]
STEPS = [(1, "vpg"), (2, "lvc"), (3, "vpg"), (5, "lvc")]
ONE_EPOCH = ClippedConfig(epochs=1, clip=0.02)


def settings(name, **others):
    """Weights that matter, and MAML++ in second order from the start."""
    own = {"e_maml": {"credit_weight": 2.5}, "promp": {"kl_penalty": 0.7}}
    own["maml_pp"] = {"first_order_updates": 0, "multi_step_updates": 10}
    own["imaml"] = {"solver_steps": 2, "solution_cg_iterations": 3}
    return {"outer": "ppo", "clipped": ONE_EPOCH, **own.get(name, {}), **others}


def away_from(theta):
    """Where ratios are not 1, and some are clipped."""
    generator = torch.Generator().manual_seed(9)
    noise = {n: torch.randn(v.shape, generator=generator, dtype=torch.float64) for n, v in theta.items()}
    return {name: value * (1 + 0.05 * noise[name]) + 0.01 * noise[name] for name, value in theta.items()}


def by_autograd(name, theta, batch, config, **options):
    """The reference's value and gradient."""
    leaves = {n: value.clone().requires_grad_() for n, value in theta.items()}
    weights = multi_step_weights(len(batch.support), 0, 10)
    value = outer_gain(name, leaves, batch, config, weights=weights, **options)
    gradients = torch.autograd.grad(value, list(leaves.values()), allow_unused=True)
    filled = [torch.zeros_like(v) if g is None else g for v, g in zip(theta.values(), gradients, strict=True)]
    return value.item(), dict(zip(theta, filled, strict=True))


def assert_same(found, expected):
    assert list(found) == list(expected)
    for name, value in expected.items():
        torch.testing.assert_close(
            found[name], value, rtol=1e-8, atol=1e-11, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.mark.parametrize(("steps", "objective"), STEPS)
@pytest.mark.parametrize("name", NAMES)
def test_k_steps_give_the_gradient_of_a_plain_loop(name, steps, objective):
    learner, config = tiny_learner(name, steps, **settings(name, inner_objective=objective))
    theta = tiny_state(learner)
    batch = sampled_meta_batch(learner, theta)
    moved = away_from(theta)
    update = learner.update(learner.start(moved), batch)
    value, gradient = by_autograd(name, moved, batch, config, clip=0.02)
    assert_same(adam_gradient(update, moved), gradient)
    assert update.metrics["surrogate_before"] == pytest.approx(value, rel=1e-9)
    assert by_autograd(name, moved, batch, config)[0] != pytest.approx(value), "expected some clipping"


@pytest.mark.parametrize(("steps", "objective"), STEPS)
@pytest.mark.parametrize("name", ["maml", "anil", "e_maml", "meta_sgd", "cavia"])
def test_a_trust_region_climbs_the_same_gradient_without_clipping(name, steps, objective):
    learner, config = tiny_learner(name, steps, **settings(name, outer="trpo", inner_objective=objective))
    theta = tiny_state(learner)
    batch = sampled_meta_batch(learner, theta)
    moved = away_from(theta)
    metrics = learner.update(learner.start(moved), batch).metrics
    value, gradient = by_autograd(name, moved, batch, config)
    assert metrics["surrogate_before"] == pytest.approx(value, rel=1e-9)
    assert metrics["meta_gradient_norm"] == pytest.approx(flatten(gradient).norm().item(), rel=1e-8)


@pytest.mark.parametrize("ladder", [{}, {"recompute": True}], ids=["graph", "recomputed"])
@pytest.mark.parametrize("chunk_size", [1, 2, None])
@pytest.mark.parametrize("name", [*NAMES, "imaml"])
def test_chunked_recomputed_and_plain_gradients_agree(name, chunk_size, ladder):
    """iMAML has no path to recompute."""
    ladder = {} if name == "imaml" else ladder
    gradients = []
    for size, options in ((None, {}), (chunk_size, ladder)):
        learner, _ = tiny_learner(name, 3, task_map=TaskMap(size, 2), **settings(name, **options))
        theta = tiny_state(learner)
        update = learner.update(learner.start(theta), sampled_meta_batch(learner, theta))
        gradients.append(adam_gradient(update, theta))
    assert_same(gradients[1], gradients[0])


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("differentiated", [0, 1, 2, 3])
def test_truncation_keeps_the_last_steps(differentiated, recompute):
    options = settings("maml", differentiated_steps=differentiated, recompute=recompute)
    learner, config = tiny_learner("maml", 3, **options)
    theta = tiny_state(learner)
    batch = sampled_meta_batch(learner, theta)
    found = adam_gradient(learner.update(learner.start(theta), batch), theta)
    _, expected = by_autograd("maml", theta, batch, config, constant=lambda k: k < 3 - differentiated)
    assert_same(found, expected)
    _, full = by_autograd("maml", theta, batch, config)
    assert torch.allclose(flatten(found), flatten(full), rtol=1e-6) == (differentiated == 3)


@pytest.mark.parametrize("name", NAMES)
def test_first_order_is_a_constant_gradient_at_every_step(name):
    learner, config = tiny_learner(name, 2, **settings(name, first_order=True))
    theta = tiny_state(learner)
    batch = sampled_meta_batch(learner, theta)
    found = adam_gradient(learner.update(learner.start(theta), batch), theta)
    _, expected = by_autograd(name, theta, batch, config, constant=lambda k: True)
    assert_same(found, expected)
    assert not torch.allclose(flatten(found), flatten(by_autograd(name, theta, batch, config)[1]), rtol=1e-3)
