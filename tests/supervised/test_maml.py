"""MAML on labelled examples, against a plain loop and finite differences."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from metarl.supervised.examples import repeated
from metarl.supervised.learners.maml import MamlConfig, descent
from tests.support.tiny_labelled import MAP, assert_slope, doubled, draw, one, tiny_learner, tiny_model

ALPHA = 0.3


def descended(model, theta, support, steps):
    for _ in range(steps):
        leaves = {name: value.detach().requires_grad_() for name, value in theta.items()}
        loss = cross_entropy(model.network.apply(leaves, support.x), support.y)
        slopes = torch.autograd.grad(loss, list(leaves.values()))
        theta = {n: v - ALPHA * g for (n, v), g in zip(theta.items(), slopes, strict=True)}
    return theta


def query_loss(model, theta, episodes, task):
    support, query = one(episodes.support, task), one(episodes.query, task)
    return cross_entropy(model.network.apply_beside(theta, support.x, query.x), query.y)


@pytest.mark.parametrize("transductive", [True, False])
@pytest.mark.parametrize("steps", [1, 3])
def test_the_gradient_is_the_slope_of_the_query_loss_after_adaptation(transductive, steps):
    model, source = tiny_model(transductive)
    episodes = draw(source)
    theta = doubled(model.network.initial_parameters(torch.Generator().manual_seed(0)))
    rule = descent(model, MamlConfig(inner_step_size=ALPHA))
    found = rule.gradient(theta, repeated(episodes, steps), model.gain, MAP)

    def objective(at):
        losses = [
            query_loss(model, descended(model, at, one(episodes.support, i), steps), episodes, i)
            for i in range(3)
        ]
        return -torch.stack(losses).mean()

    assert_slope(found.gradient, objective, theta)
    assert found.gain == pytest.approx(objective(theta).item())


def test_predictions_are_those_along_the_path():
    model, source = tiny_model()
    episodes = draw(source)
    theta = doubled(model.network.initial_parameters(torch.Generator().manual_seed(0)))
    learner = tiny_learner("maml", model, inner_step_size=ALPHA)
    support, query = one(episodes.support, 0), one(episodes.query, 0)
    found = learner.predict(theta, support, query.x, 2)
    for k in range(3):
        expected = model.network.apply(descended(model, theta, support, k), query.x)
        torch.testing.assert_close(found[k], expected)


def test_a_permutation_of_the_support_changes_nothing():
    model, source = tiny_model()
    episodes = draw(source)
    theta = doubled(model.network.initial_parameters(torch.Generator().manual_seed(0)))
    learner = tiny_learner("maml", model)
    support, query = one(episodes.support, 0), one(episodes.query, 0)
    order = torch.randperm(len(support.y), generator=torch.Generator().manual_seed(3))
    turned = type(support)(support.x[order], support.y[order])
    one_way, other = (learner.predict(theta, s, query.x, 3) for s in (support, turned))
    torch.testing.assert_close(one_way, other)


def test_inner_steps_are_taken_in_turn():
    config = MamlConfig(inner_steps=(1, 1, 3))
    assert [config.steps_of(updates) for updates in range(5)] == [1, 1, 3, 1, 1]
    with pytest.raises(ValueError, match=r"learner\.inner_steps: expected one number or more, got none"):
        MamlConfig(inner_steps=())
