"""Matching networks (Vinyals et al. 2016): a query has the labels of the support that it attends to.

P(y|x)  = sum_i a(x, x_i) y_i,  a = softmax_i s cosine(f(x), g(x_i))             (eq. 1 and section 2.1.1)

With s = 1, as in the paper, no example of five has more than e / (e + 4 / e), 0.65, and where features are
not negative 0.40, so that losses stay high and gradients small.

With full-context embeddings f and g see the whole support (section 2.1.2 and appendix A):
g(x_i)  = forward_i + backward_i + g'(x_i), the outputs of two LSTMs over the support
h_k     = LSTM(f'(x), [h_{k-1}, r_{k-1}]) + f'(x),  r_k = sum_i softmax_i(h_k' g(x_i)) g(x_i),  f(x) = h_K
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jsonargparse.typing import PositiveFloat, PositiveInt
from torch import Tensor
from torch.nn.functional import normalize

from metarl.compute.task_map import TaskMap
from metarl.math.parameters import Parameters
from metarl.supervised.examples import Examples
from metarl.supervised.learners.comparing import ComparingConfig, comparing, one_hot
from metarl.supervised.learners.learner import Learner
from metarl.supervised.learners.recurrence import cell, initial_cell
from metarl.supervised.model import Model

_LEAST = 1e-8
"""Of a probability, whose logarithm is taken."""


@dataclass(frozen=True)
class MatchingConfig(ComparingConfig):
    """Matching networks.

    Args:
        full_context: embed queries and the support in sight of the whole support.
        reads: K, how often a query's embedding looks at the support.
        scale: s, of the cosines (Gidaris and Komodakis 2018, section 3.2, learn it, from 10); 1 in the paper.
    """

    full_context: bool = False
    reads: PositiveInt = 5
    scale: PositiveFloat = 1.0

    read_with: ClassVar[dict[str, Any]] = {"reads": {"full_context": (True,)}}


def matching(model: Model, config: MatchingConfig, task_map: TaskMap) -> Learner:
    """The learner of f and g that makes P(y|x) large."""
    model.check_classifies("matching")
    network = model.network
    size = network.feature_size

    def initial_parameters(generator: torch.Generator) -> Parameters:
        body = network.body(generator)
        if not config.full_context:
            return body
        both = {"forward": 2 * size, "backward": 2 * size, "attention": 3 * size}
        cells = [initial_cell(name, inputs, size, generator) for name, inputs in both.items()]
        return {**body, **{name: value for one in cells for name, value in one.items()}}

    def compare(parameters: Parameters, support: Examples, x: Tensor) -> Tensor:
        known = network.features(parameters, support.x, None)
        asked = network.features_beside(parameters, support.x, x)
        if config.full_context:
            known = in_context(parameters, known)
            asked = attending(parameters, asked, known, int(config.reads))
        attended = attention(asked, known, float(config.scale)) @ one_hot(support.y, network.outputs, known)
        return torch.log(attended.clamp(min=_LEAST))

    return comparing(model, initial_parameters, compare, config, task_map)


def attention(asked: Tensor, known: Tensor, scale: float) -> Tensor:
    """softmax of scaled cosines; [query, feature], [example, feature] -> [query, example]."""
    return (scale * normalize(asked, dim=-1) @ normalize(known, dim=-1).T).softmax(-1)


def in_context(parameters: Parameters, known: Tensor) -> Tensor:
    """g(x_i) of all of the support [example, feature]."""
    there = _over(parameters, "forward", known.unbind(0))
    back = _over(parameters, "backward", reversed(known.unbind(0)))
    return torch.stack(there) + torch.stack(back[::-1]) + known


def attending(parameters: Parameters, asked: Tensor, known: Tensor, reads: int) -> Tensor:
    """f(x) of queries [query, feature] that look at g(x_i) so often."""
    hidden, memory, read = asked, torch.zeros_like(asked), torch.zeros_like(asked)
    for _ in range(reads):
        output, memory = cell(parameters, "attention", torch.cat([asked, hidden, read], -1), memory)
        hidden = output + asked
        read = (hidden @ known.T).softmax(-1) @ known
    return hidden


def _over(parameters: Parameters, name: str, inputs: Iterable[Tensor]) -> list[Tensor]:
    outputs: list[Tensor] = []
    memory = None
    for one in inputs:
        output = outputs[-1] if outputs else torch.zeros_like(one)
        memory = torch.zeros_like(one) if memory is None else memory
        output, memory = cell(parameters, name, torch.cat([one, output], -1), memory)
        outputs.append(output)
    return outputs
