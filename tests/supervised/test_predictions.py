"""What learners say of queries after every number of inner steps."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from metarl.math.parameters import flatten, unflatten
from tests.support.tiny_labelled import doubled, draw, one, tiny_learner, tiny_model

ALPHA = 0.2


def task_of(name, size=ALPHA, **settings):
    """A learner, its parameters moved a little, and a task."""
    model, source = tiny_model(transductive=False)
    learner = tiny_learner(name, model, inner_step_size=size, **settings)
    theta = doubled(learner.initial_parameters(torch.Generator().manual_seed(0)))
    generator = torch.Generator().manual_seed(1)
    for key, value in theta.items():
        noise = torch.randn(value.shape, generator=generator, dtype=torch.float64)
        theta[key] = value + 0.05 * noise
    episodes = draw(source)
    return model, learner, theta, one(episodes.support, 0), one(episodes.query, 0)


def slopes_of(loss, theta):
    leaves = {name: value.detach().requires_grad_() for name, value in theta.items()}
    return dict(zip(leaves, torch.autograd.grad(loss(leaves), list(leaves.values())), strict=True))


def test_imamls_steps_are_those_of_its_solver():
    """The first of the size that is given, the others BFGS's, by matrices (Nocedal and Wright 2006, 6.17)."""
    model, learner, theta, support, query = task_of("imaml", 0.05, regularisation=8.0)
    found, phi, steps = learner.predict(theta, support, query.x, 3), flatten(theta), []
    one, last = torch.eye(len(phi)).double(), None

    def slope_at(phi):
        at = unflatten(phi, theta)
        slopes = slopes_of(lambda at: cross_entropy(model.network.apply(at, support.x), support.y), at)
        return flatten(slopes) + 8.0 * (phi - flatten(theta))

    for k in range(4):
        expected = model.network.apply_beside(unflatten(phi, theta), support.x, query.x)
        torch.testing.assert_close(found[k], expected)
        slope = slope_at(phi)
        if last is not None:
            steps.append((phi - last[0], slope - last[1]))
        scale = steps[-1][0].dot(steps[-1][1]) / steps[-1][1].square().sum() if steps else 0.05
        inverse = scale * one
        for step, change in steps:
            turn = one - torch.outer(step, change) / step.dot(change)
            inverse = turn @ inverse @ turn.T + torch.outer(step, step) / step.dot(change)
        last = phi, slope
        phi = phi - inverse @ slope


def test_maml_pps_steps_have_the_norms_and_sizes_of_their_number_and_then_the_last():
    model, learner, theta, support, query = task_of("maml_pp", inner_steps=2)
    own = [name for name in theta if not name.startswith("step_size.")]
    phi = {name: theta[name] for name in own}

    def of(at, k):
        return {n: v[k] if n.startswith("norm") else v for n, v in at.items()}

    found = learner.predict(theta, support, query.x, 4)
    torch.testing.assert_close(found[0], model.network.apply_beside(of(phi, 0), support.x, query.x))
    for step, k in enumerate((0, 1, 1, 1), start=1):
        slopes = slopes_of(
            lambda at, k=k: cross_entropy(model.network.apply(of(at, k), support.x), support.y), phi
        )
        phi = {n: v - theta[f"step_size.{k}.{n.rsplit('.', 1)[0]}"] * slopes[n] for n, v in phi.items()}
        expected = model.network.apply_beside(of(phi, k), support.x, query.x)
        torch.testing.assert_close(found[step], expected)


@pytest.mark.parametrize("adaptation", ["fine_tuning", "nearest_centroids"])
def test_a_pre_trained_networks_new_head_knows_nothing_before_it_is_tuned(adaptation):
    model, learner, theta, support, query = task_of("pre_training", adaptation=adaptation)
    found = learner.predict(theta, support, query.x, 2)
    if adaptation == "fine_tuning":
        assert found.shape == (3, 6, 3)
        assert not found[0].any()
        assert found[1].any()
    else:
        features, asked = (
            model.network.features(theta, support.x, None),
            model.network.features_beside(theta, support.x, query.x),
        )
        means = torch.stack([features[support.y == k].mean(0) for k in range(3)])
        torch.testing.assert_close(found[0], -torch.cdist(asked, means).square())
