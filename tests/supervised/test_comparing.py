"""Learners that compare queries with a support: closed forms and invariance."""

import math

import pytest
import torch

from metarl.errors import ConfigError
from metarl.supervised.data.sinusoid import SinusoidConfig, sinusoid
from metarl.supervised.examples import Examples
from metarl.supervised.learners.comparing import class_means
from metarl.supervised.learners.recurrence import cell, initial_cell
from metarl.supervised.model import Model
from metarl.supervised.names import NAMES
from metarl.supervised.networks.mlp import MlpConfig, mlp
from tests.support.tiny_labelled import doubled, draw, one, tiny_learner, tiny_model


def task_of(name, **settings):
    model, source = tiny_model()
    learner = tiny_learner(name, model, **settings)
    theta = doubled(learner.initial_parameters(torch.Generator().manual_seed(0)))
    episodes = draw(source)
    return model, learner, theta, one(episodes.support, 0), one(episodes.query, 0)


def test_prototypes_logits_are_minus_squared_distances_to_means():
    model, learner, theta, support, query = task_of("prototypical")
    features, asked = (model.network.features(theta, part.x, None) for part in (support, query))
    found = learner.predict(theta, support, query.x, 5)
    assert found.shape == (1, 6, 3)
    for q in range(6):
        for k in range(3):
            mean = sum(features[i] for i in range(6) if support.y[i] == k) / 2
            assert found[0, q, k].item() == pytest.approx(-((asked[q] - mean) ** 2).sum().item())


def test_prototypes_logits_are_linear_in_the_feature():
    """-|f|^2 + 2 c_k' f - |c_k|^2 (Snell et al. 2017, eq. 7)."""
    model, learner, theta, support, query = task_of("prototypical")
    features, asked = (model.network.features(theta, part.x, None) for part in (support, query))
    means = class_means(features, support.y, 3)
    linear = 2 * asked @ means.T - means.square().sum(1) - asked.square().sum(1, keepdim=True)
    torch.testing.assert_close(learner.predict(theta, support, query.x, 0)[0], linear)


@pytest.mark.parametrize("scale", [1.0, 7.0])
def test_matching_sums_the_attention_to_every_label(scale):
    model, learner, theta, support, query = task_of("matching", scale=scale)
    features, asked = (model.network.features(theta, part.x, None) for part in (support, query))
    found = learner.predict(theta, support, query.x, 0)[0]
    for q in range(6):
        cosines = [float(asked[q] @ f / asked[q].norm() / f.norm()) for f in features]
        weights = [math.exp(scale * one_cosine) for one_cosine in cosines]
        for k in range(3):
            share = sum(w for w, y in zip(weights, support.y, strict=True) if y == k) / sum(weights)
            assert found[q, k].item() == pytest.approx(math.log(share))


@pytest.mark.parametrize("name", sorted(NAMES["learner"].keys() - {"memory_augmented"}))
def test_a_permuted_support_says_the_same(name):
    """To all but a memory, which reads examples one after the other."""
    _, learner, theta, support, query = task_of(name)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(1))
    turned = Examples(support.x[order], support.y[order])
    found = [learner.predict(theta, part, query.x, 2) for part in (support, turned)]
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("name", ["prototypical", "matching", "statistician"])
def test_other_labels_are_other_columns(name):
    _, learner, theta, support, query = task_of(name)
    names = torch.tensor([2, 0, 1])
    renamed = learner.predict(theta, Examples(support.x, names[support.y]), query.x, 0)
    torch.testing.assert_close(renamed[..., names], learner.predict(theta, support, query.x, 0))


@pytest.mark.parametrize("name", ["prototypical", "matching", "memory_augmented", "statistician"])
def test_queries_do_not_tell_of_one_another_but_by_statistics(name):
    model, source = tiny_model(transductive=False)
    learner = tiny_learner(name, model)
    theta = doubled(learner.initial_parameters(torch.Generator().manual_seed(0)))
    episodes = draw(source)
    support, query = one(episodes.support, 0), one(episodes.query, 0)
    alone = learner.predict(theta, support, query.x[:1], 0)
    torch.testing.assert_close(alone, learner.predict(theta, support, query.x, 0)[:, :1])


def test_the_cell_is_torchs_own():
    generator = torch.Generator().manual_seed(0)
    parameters = initial_cell("own", 3 + 4, 4, generator)
    x, h, c = (torch.randn(2, n, generator=generator) for n in (3, 4, 4))
    reference = torch.nn.LSTMCell(3, 4)
    with torch.no_grad():
        reference.weight_ih.copy_(parameters["own.weight"][:, :3][_order()])
        reference.weight_hh.copy_(parameters["own.weight"][:, 3:][_order()])
        reference.bias_ih.copy_(parameters["own.bias"][_order()])
        reference.bias_hh.zero_()
        expected = reference(x, (h, c))
    torch.testing.assert_close(cell(parameters, "own", torch.cat([x, h], -1), c), expected)


def _order():
    """Torch's gates are in, forget, value, out; the cell's in, forget, out, value."""
    return torch.cat([torch.arange(8), torch.arange(12, 16), torch.arange(8, 12)])


@pytest.mark.parametrize("name", ["prototypical", "matching", "memory_augmented", "statistician"])
def test_regression_is_refused(name):
    source = sinusoid(SinusoidConfig())
    model = Model(mlp(MlpConfig(), source.inputs, 1), source.objective)
    with pytest.raises(ConfigError, match=rf"learner\.name: expected a learner of values .* got {name}"):
        tiny_learner(name, model)
