"""The networks of supervised learners as functions."""

import pytest
import torch
from torch import nn

from metarl.supervised.networks.conv import ConvConfig, conv
from metarl.supervised.networks.mlp import MlpConfig, mlp
from tests.support.tiny_labelled import doubled


def built(config, inputs=(2, 9, 9), outputs=3):
    network = conv(config, inputs, outputs)
    parameters = doubled(network.initial_parameters(torch.Generator().manual_seed(0)))
    generator = torch.Generator().manual_seed(1)
    moved = {
        name: value + 0.1 * torch.randn(value.shape, generator=generator, dtype=torch.float64)
        for name, value in parameters.items()
    }
    return network, moved, torch.randn(7, *inputs, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("halving", ["stride", "pool"])
def test_blocks_are_torchs_own_layers_in_training_mode(halving):
    network, parameters, x = built(ConvConfig(filters=4, blocks=2, halving=halving))
    layers = []
    for channels in (2, 4):
        stride = 2 if halving == "stride" else 1
        layers += [nn.Conv2d(channels, 4, 3, stride, 1), nn.BatchNorm2d(4), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if halving == "pool" else []
    expected = nn.Sequential(*layers, nn.Flatten(), nn.Linear(network.feature_size, 3)).double()
    own = [
        parameters[f"{kind}.{i}.{part}"]
        for i in range(2)
        for kind in ("conv", "norm")
        for part in ("weight", "bias")
    ]
    own += [parameters["head.weight"], parameters["head.bias"]]
    with torch.no_grad():
        for weight, value in zip(expected.parameters(), own, strict=True):
            weight.copy_(value)
    torch.testing.assert_close(network.apply(parameters, x), expected(x))


def test_transductive_queries_tell_of_one_another_and_others_do_not():
    for transductive in (True, False):
        network, parameters, x = built(ConvConfig(filters=4, blocks=2, transductive=transductive))
        support, query = x[:4], x[4:]
        alone = network.apply_beside(parameters, support, query[:1])
        beside = network.apply_beside(parameters, support, query)[:1]
        assert torch.allclose(alone, beside) != transductive


def test_queries_that_are_the_support_are_normalised_alike_either_way():
    outputs = []
    for transductive in (True, False):
        network, parameters, x = built(ConvConfig(filters=4, blocks=2, transductive=transductive))
        outputs.append(network.apply_beside(parameters, x, x))
    torch.testing.assert_close(*outputs)


def test_an_mlp_is_relu_layers():
    network = mlp(MlpConfig((5, 4)), (2, 3), 2)
    parameters = network.initial_parameters(torch.Generator().manual_seed(0))
    x = torch.randn(6, 2, 3)
    hidden = x.flatten(1)
    for layer in range(2):
        weight, bias = parameters[f"hidden.{layer}.weight"], parameters[f"hidden.{layer}.bias"]
        hidden = (hidden @ weight.T + bias).clamp(min=0)
    expected = hidden @ parameters["head.weight"].T + parameters["head.bias"]
    torch.testing.assert_close(network.apply(parameters, x), expected)


@pytest.mark.parametrize(
    ("inputs", "config", "message"),
    [
        ((3,), ConvConfig(), r"network\.name: expected data of images for conv, got inputs of shape \(3,\)"),
        (
            (1, 8, 8),
            ConvConfig(halving="pool"),
            r"network\.blocks: expected fewer, for images of 8 x 8, got 4",
        ),
    ],
)
def test_inputs_that_do_not_suit_are_refused(inputs, config, message):
    with pytest.raises(ValueError, match=message):
        conv(config, inputs, 2)
