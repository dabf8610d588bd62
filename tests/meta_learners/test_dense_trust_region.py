"""A whole trust-region step against a dense solve: sqrt(2 delta / x'Bx) x with B x = g, damping in B."""

from dataclasses import replace

import pytest
import torch
from torch.utils._pytree import tree_map

from metarl.math.parameters import flatten, unflatten
from metarl.meta_learners.outer.trust_region import SurrogateAndKl, TrustRegionConfig, trust_region_step
from metarl.rollouts.rollout import SEED
from tests.support.references import mean_kl, outer_gain
from tests.support.tiny import sampled_meta_batch, tiny_learner, tiny_state

SOLVED = TrustRegionConfig(cg_iterations=200, cg_damping=0.5, cg_tolerance=1e-26)


def dense_step(curvature, gradient, config):
    system = curvature + config.cg_damping * torch.eye(len(gradient), dtype=gradient.dtype)
    x = torch.linalg.solve(system, gradient)
    return (2 * config.max_kl / (x @ system @ x)).sqrt() * x


def quadratic(size=7):
    """A curvature with eigenvalues from 0.1 to 10, a point and a gradient there."""
    generator = torch.Generator().manual_seed(2)
    root = torch.randn(size, size, generator=generator, dtype=torch.float64)
    directions = torch.linalg.qr(root)[0]
    eigenvalues = torch.logspace(-1, 1, size, dtype=torch.float64)
    at, gradient = torch.randn(2, size, generator=generator, dtype=torch.float64)
    return directions @ eigenvalues.diag() @ directions.T, at, gradient


def take_quadratic_step(config, worse_beyond=float("inf")):
    """The step where surrogate and KL are exactly linear and quadratic; further ones can be made worse."""
    curvature, at, gradient = quadratic()
    full = dense_step(curvature, gradient, config).norm().item()

    def evaluate(candidate):
        step = candidate - at
        gain = (gradient @ step).item() if step.norm().item() <= worse_beyond * full else -1.0
        return SurrogateAndKl(1.5 + gain, 0.5 * (step @ curvature @ step).item())

    result = trust_region_step(at, gradient, 1.5, lambda v: curvature @ v, evaluate, config)
    return result, curvature, at, gradient


@pytest.mark.parametrize("damping", [0.0, 0.05, 2.0])
@pytest.mark.parametrize("delta", [0.01, 0.3])
def test_the_step_is_the_dense_solve_with_the_damping_added(damping, delta):
    config = replace(SOLVED, cg_damping=damping, max_kl=delta)
    result, curvature, at, gradient = take_quadratic_step(config)
    step = dense_step(curvature, gradient, config)
    fraction = config.backtrack_ratio ** result.metrics["backtracks"]
    assert result.metrics["backtracks"] == 0 or damping == 0
    torch.testing.assert_close(result.parameters - at, fraction * step, rtol=1e-7, atol=1e-10)
    predicted = 0.5 * (step @ curvature @ step + damping * step @ step).item()
    assert predicted == pytest.approx(config.max_kl, rel=1e-9)
    kl = 0.5 * (fraction * step @ curvature @ (fraction * step)).item()
    assert result.metrics["kl"] == pytest.approx(kl, rel=1e-7)
    assert result.metrics["surrogate_after"] == pytest.approx(1.5 + fraction * (gradient @ step).item())
    assert result.metrics["step_norm"] == pytest.approx(fraction * step.norm().item(), rel=1e-7)
    assert result.rejection is None
    assert result.metrics["accepted"] == 1


def test_a_step_that_went_too_far_is_shortened():
    """0.8^4 = 0.41 is the first fraction up to a half."""
    result, curvature, at, gradient = take_quadratic_step(SOLVED, worse_beyond=0.5)
    step = dense_step(curvature, gradient, SOLVED)
    assert result.metrics["backtracks"] == 4
    torch.testing.assert_close(result.parameters - at, 0.8**4 * step, rtol=1e-7, atol=1e-10)


UNMOVED = {"surrogate_after": 1.5, "kl": 0.0, "step_norm": 0.0, "accepted": 0.0}


def judged(*tried, scale=1.0):
    """A step from surrogate 1.5 whose candidates are evaluated so, with delta 0.5."""
    curvature, at, gradient = quadratic()
    evaluations = iter(tried)
    config = replace(SOLVED, max_kl=0.5, max_backtracks=len(tried))
    result = trust_region_step(
        at,
        scale * gradient,
        1.5,
        lambda v: curvature @ v,
        lambda _: SurrogateAndKl(*next(evaluations)),
        config,
    )
    return result, result.parameters is at


def test_a_step_that_is_never_accepted_tells_why_most_often():
    """Twice too far, once not finite, once no better; nothing has moved then."""
    result, unmoved = judged((2.0, 1.0), (float("nan"), 0.0), (2.0, 1.0), (1.5, 0.0))
    assert result.rejection == "KL above the bound"
    assert unmoved
    assert {**UNMOVED, "backtracks": 4.0}.items() <= result.metrics.items()


@pytest.mark.parametrize(
    ("tried", "reason"),
    [
        ((float("inf"), 0.1), "not finite"),
        ((2.0, float("nan")), "not finite"),
        ((2.0, 0.50001), "KL above the bound"),
        ((1.5, 0.1), "no improvement"),
        ((1.50001, 0.5), None),
    ],
)
def test_a_candidate_is_accepted_if_finite_within_the_bound_and_better(tried, reason):
    result, unmoved = judged(tried)
    assert result.rejection == reason
    assert unmoved == (reason is not None)


def test_without_a_gradient_nothing_is_tried():
    result, unmoved = judged(scale=0.0)
    assert result.rejection == "zero gradient"
    assert unmoved
    assert {**UNMOVED, "backtracks": 0.0}.items() <= result.metrics.items()


def dense_curvature_and_gradient(name, theta, batch, config):
    """The Hessian of the mean KL through the adaptation, column by column, and the outer gradient."""
    at = flatten(theta).requires_grad_()
    (slope,) = torch.autograd.grad(mean_kl(name, unflatten(at, theta), batch, config), at, create_graph=True)
    every = torch.eye(len(at), dtype=at.dtype)
    (columns,) = torch.autograd.grad(slope, at, every, is_grads_batched=True)
    (gradient,) = torch.autograd.grad(outer_gain(name, unflatten(at, theta), batch, config), at)
    return columns.T, gradient


@pytest.mark.parametrize(
    ("name", "steps"), [("maml", 1), ("maml", 2), ("anil", 2), ("e_maml", 1), ("meta_sgd", 1), ("cavia", 1)]
)
def test_an_update_is_the_dense_step(name, steps):
    region = replace(SOLVED, max_kl=1e-3)
    learner, config = tiny_learner(name, steps, trust_region=region, inner_objective="lvc")
    theta = tiny_state(learner)
    batch = sampled_meta_batch(learner, theta)
    curvature, gradient = dense_curvature_and_gradient(name, theta, batch, config)
    update = learner.update(learner.start(theta), batch)
    step = dense_step(curvature, gradient, region)
    assert update.metrics["backtracks"] == 0
    moved = flatten(update.state.parameters) - flatten(theta)
    torch.testing.assert_close(moved, step, rtol=1e-6, atol=1e-9)
    assert (step - dense_step(curvature, gradient, replace(region, cg_damping=1e-5))).norm() > step.norm() / 4


@pytest.mark.parametrize("name", ["maml", "anil", "e_maml", "multi_task"])
def test_of_few_tasks_the_curvature_is_theirs_and_all_else_is_of_all(name):
    """Those with the lowest seeds are drawn: the first and the last of three."""
    region = replace(SOLVED, max_kl=1e-3, curvature_tasks=2)
    learner, config = tiny_learner(name, 1, trust_region=region, inner_objective="lvc")
    theta = tiny_state(learner)
    sampled = sampled_meta_batch(learner, theta)
    seeds = {**sampled.query.extras, SEED: torch.tensor([-5, 2**40, 7])}
    batch = sampled._replace(query=sampled.query._replace(extras=seeds))
    few = tree_map(lambda part: torch.stack([part[0], part[2]]), batch)
    curvature, _ = dense_curvature_and_gradient(name, theta, few, config)
    of_all, gradient = dense_curvature_and_gradient(name, theta, batch, config)
    update = learner.update(learner.start(theta), batch)
    step = dense_step(curvature, gradient, region)
    fraction = region.backtrack_ratio ** update.metrics["backtracks"]
    moved = flatten(update.state.parameters) - flatten(theta)
    torch.testing.assert_close(moved, fraction * step, rtol=1e-6, atol=1e-9)
    leaves = {n: value.clone().requires_grad_() for n, value in update.state.parameters.items()}
    assert update.metrics["kl"] == pytest.approx(mean_kl(name, leaves, batch, config).item(), rel=1e-6)
    assert (dense_step(of_all, gradient, region) - step).norm() > 0.05 * step.norm()


def test_of_as_many_tasks_as_there_are_the_curvature_is_all_theirs():
    region, theta = replace(SOLVED, max_kl=1e-3), None
    found = []
    for tasks in (None, 3, 100):
        learner, _ = tiny_learner("maml", 1, trust_region=replace(region, curvature_tasks=tasks))
        theta = theta or tiny_state(learner)
        sampled = sampled_meta_batch(learner, theta)
        batch = sampled._replace(query=sampled.query._replace(extras={SEED: torch.tensor([3, 1, 2])}))
        found.append(flatten(learner.update(learner.start(theta), batch).state.parameters))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_the_kl_after_a_small_step_is_the_second_order_prediction():
    """0.5 s'Fs, of which damping leaves a share of delta; the relative error falls as the step's length."""
    errors = []
    for delta in (1e-3, 1e-5, 1e-7):
        region = replace(SOLVED, max_kl=delta, cg_damping=0.05)
        learner, config = tiny_learner("maml", 1, trust_region=region)
        theta = tiny_state(learner)
        batch = sampled_meta_batch(learner, theta)
        curvature, _ = dense_curvature_and_gradient("maml", theta, batch, config)
        update = learner.update(learner.start(theta), batch)
        step = flatten(update.state.parameters) - flatten(theta)
        predicted = 0.5 * (step @ curvature @ step).item()
        damped = predicted + 0.5 * 0.05 * (step @ step).item()
        assert damped == pytest.approx(delta, rel=1e-6)
        assert predicted > 0.3 * delta
        leaves = {n: value.clone().requires_grad_() for n, value in update.state.parameters.items()}
        assert update.metrics["kl"] == pytest.approx(mean_kl("maml", leaves, batch, config).item(), rel=1e-6)
        errors.append(abs(update.metrics["kl"] / predicted - 1))
    assert errors[0] < 0.2
    assert errors[1] < 0.02
    assert errors[2] < 0.002
