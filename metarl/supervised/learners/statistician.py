"""The Neural Statistician (Edwards and Storkey 2017): a variational code c of a set, codes z of its examples.

L_D = E_q(c|D) [sum_x E_q(z|x,c) log p(x|z,c) - KL(q(z|x,c) | p(z|c))] - KL(q(c|D) | p(c))   (eq. 5)

D is a class's images in a task, labels are not learned. A query is of the class with the least
KL(q(c|D_k) | q(c|x))   (section 5.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jsonargparse.typing import PositiveInt
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, linear

from metarl.compute.task_map import TaskMap
from metarl.math.parameters import Parameters
from metarl.meta_learners.inner.meta_gradient import MetaGradient, Path
from metarl.supervised.examples import Episodes, Examples, keyed_generator, pooled
from metarl.supervised.learners.comparing import ComparingConfig, class_means, no_steps, one_hot
from metarl.supervised.learners.learner import Learner, compose
from metarl.supervised.model import Model
from metarl.supervised.networks.network import initial_linear


@dataclass(frozen=True)
class StatisticianConfig(ComparingConfig):
    """The Neural Statistician, with one layer of codes.

    Args:
        code_size: numbers of a set's code c.
        example_code_size: numbers of an example's code z.
        hidden_size: units of the hidden layers of all its networks but the body.
    """

    code_size: PositiveInt = 64
    example_code_size: PositiveInt = 16
    hidden_size: PositiveInt = 128


class Normal(NamedTuple):
    """Independent normal distributions: means and logarithms of variances, [..., number]."""

    mean: Tensor
    log_variance: Tensor

    def at(self, noise: Tensor) -> Tensor:
        """The draw that standard normal noise makes."""
        return self.mean + (0.5 * self.log_variance).exp() * noise


class Noisy(NamedTuple):
    """A task's examples, and the noise of their codes: [label, number], [example, number]."""

    examples: Examples
    of_sets: Tensor
    of_examples: Tensor


class Sets(NamedTuple):
    """Tasks as the rule takes them, tensors [task, ...]."""

    support: tuple[()]
    query: Noisy

    @property
    def tasks(self) -> int:
        return len(self.query.of_sets)


def statistician(model: Model, config: StatisticianConfig, task_map: TaskMap) -> Learner:
    """The learner that climbs L_D of every class's images."""
    model.check_classifies("statistician")
    network, rule, ways = model.network, no_steps(), model.network.outputs
    hidden, c, z = int(config.hidden_size), int(config.code_size), int(config.example_code_size)

    def initial_parameters(generator: torch.Generator) -> Parameters:
        features = network.feature_size
        return {
            **network.body(generator),
            **_layers("set", (features, hidden, 2 * c), generator),
            **_layers("example", (features + c, hidden, 2 * z), generator),
            **_layers("prior", (c, hidden, 2 * z), generator),
            **_layers("image", (z + c, hidden, network.inputs), generator),
        }

    def gain(path: Path, support: Sequence[Noisy], query: Noisy) -> Tensor:
        parameters, (x, y) = path[-1], query.examples
        features = network.features(parameters, x, None)
        of_sets = code(parameters, class_means(features, y, ways))
        codes = one_hot(y, ways, features) @ of_sets.at(query.of_sets)
        of_examples = _normal(_through(parameters, "example", torch.cat([features, codes], -1)))
        prior = _normal(_through(parameters, "prior", codes))
        drawn = torch.cat([of_examples.at(query.of_examples), codes], -1)
        pixels = _through(parameters, "image", drawn)
        unexplained = binary_cross_entropy_with_logits(pixels, x.flatten(1), reduction="sum")
        standard = Normal(torch.zeros_like(of_sets.mean), torch.zeros_like(of_sets.mean))
        apart = divergence(of_examples, prior).sum() + divergence(of_sets, standard).sum()
        return -(unexplained + apart) / len(x)

    def direction(theta: Parameters, episodes: Episodes, updates: int) -> MetaGradient:
        examples = pooled(episodes)
        # What is drawn follows from the tasks, which follow from the seed.
        generator = keyed_generator(updates, *episodes.classes.flatten().tolist())
        sizes = (episodes.tasks, ways, c), (*examples.y.shape, z)
        noise = [torch.randn(size, generator=generator).to(examples.x) for size in sizes]
        return rule.gradient(theta, Sets((), Noisy(examples, *noise)), gain, task_map)

    def predict(parameters: Parameters, support: Examples, x: Tensor, steps: int) -> Tensor:
        known = network.features(parameters, support.x, None)
        of_sets = code(parameters, class_means(known, support.y, ways))
        of_queries = code(parameters, network.features_beside(parameters, support.x, x))
        one, other = (
            Normal(*(part.unsqueeze(axis) for part in each)) for axis, each in ((0, of_sets), (1, of_queries))
        )
        return -divergence(one, other).unsqueeze(0)

    return compose(initial_parameters, direction, config.adam, predict)


def code(parameters: Parameters, mean_features: Tensor) -> Normal:
    """q(c|D) of sets by the means of their features [set, feature]."""
    return _normal(_through(parameters, "set", mean_features))


def divergence(one: Normal, other: Normal) -> Tensor:
    """KL(one | other), summed over numbers; [...]."""
    ratio = (one.log_variance - other.log_variance).exp()
    distance = (one.mean - other.mean).square() * (-other.log_variance).exp()
    return 0.5 * (ratio + distance - 1 - one.log_variance + other.log_variance).sum(-1)


def _normal(numbers: Tensor) -> Normal:
    return Normal(*numbers.chunk(2, -1))


def _layers(name: str, sizes: tuple[int, int, int], generator: torch.Generator) -> Parameters:
    """A hidden layer and an output layer."""
    first, second = initial_linear(*sizes[:2], generator), initial_linear(*sizes[1:], generator)
    keys = [f"{name}.{layer}.{part}" for layer in range(2) for part in ("weight", "bias")]
    return dict(zip(keys, (*first, *second), strict=True))


def _through(parameters: Parameters, name: str, x: Tensor) -> Tensor:
    hidden = torch.relu(linear(x, parameters[f"{name}.0.weight"], parameters[f"{name}.0.bias"]))
    return linear(hidden, parameters[f"{name}.1.weight"], parameters[f"{name}.1.bias"])
