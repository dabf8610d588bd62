"""What is asked of a network's outputs: class labels, or values."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import cross_entropy

OfOutputs = Callable[[Tensor, Tensor], Tensor]
"""(outputs [example, output], y) -> scalar."""


class Objective(NamedTuple):
    """A loss to descend, and the score that a result tells.

    Args:
        loss: the mean over examples.
        score: the mean over examples.
        name: of the score.
    """

    loss: OfOutputs
    score: OfOutputs
    name: str


def accuracy(outputs: Tensor, labels: Tensor) -> Tensor:
    """The share of examples whose largest output is their label's; scalar."""
    return (outputs.argmax(-1) == labels).to(outputs.dtype).mean()


def squared_error(outputs: Tensor, values: Tensor) -> Tensor:
    """The mean over examples; scalar."""
    return (outputs - values).square().mean()


CLASSIFICATION = Objective(cross_entropy, accuracy, "accuracy")
REGRESSION = Objective(squared_error, squared_error, "error")
