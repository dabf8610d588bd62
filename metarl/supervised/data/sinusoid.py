"""Sinusoid regression (Finn et al. 2017, section 5.1): a task is a curve, of which a learner sees points."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jsonargparse.typing import PositiveInt
from torch import Tensor

from metarl.supervised.examples import Episodes, Examples, Pictured, Split, TaskSource
from metarl.supervised.objectives import REGRESSION

AMPLITUDES = 0.1, 5.0
PHASES = 0.0, math.pi
DOMAIN = -5.0, 5.0


@dataclass(frozen=True)
class SinusoidConfig:
    """Curves amplitude * sin(x - phase), amplitude in [0.1, 5], phase in [0, pi], x in [-5, 5].

    Args:
        shots: points of the support in training.
        queries: other points in the outer loss; an evaluation judges whole curves.
        evaluation_shots: points of the support in an evaluation.
    """

    shots: PositiveInt = 10
    queries: PositiveInt = 40
    evaluation_shots: PositiveInt = 5


class Sinusoids(NamedTuple):
    """Curves; [task] each."""

    amplitude: Tensor
    phase: Tensor

    def at(self, x: Tensor) -> Examples:
        """The values at x [task, point, 1]."""
        return Examples(x, self.amplitude[:, None, None] * torch.sin(x - self.phase[:, None, None]))

    def points(self, number: int, generator: torch.Generator) -> Examples:
        """So many points of every task, x uniform over the domain."""
        return self.at(_uniform(DOMAIN, (len(self.phase), number, 1), generator))


_PICTURED = Sinusoids(torch.tensor([4.0]), torch.tensor([0.8]))
_PICTURED_X = 0.5, 1.2, 2.1, 3.3, 4.4


def sinusoid(config: SinusoidConfig) -> TaskSource:
    """Tasks of curves."""

    def draw(name: Split, tasks: int, generator: torch.Generator) -> Episodes:
        curves, none = sample_sinusoids(tasks, generator), torch.zeros(tasks, 0, dtype=torch.int64)
        if name == "train":
            support = curves.points(int(config.shots), generator)
            return Episodes(support, curves.points(int(config.queries), generator), none)
        support = curves.points(int(config.evaluation_shots), generator)
        return Episodes(support, curves.at(grid().expand(tasks, -1, -1)), none)

    title = f"sinusoids by {config.evaluation_shots} points"
    return TaskSource(draw, (1,), 1, REGRESSION, 0, title, pictured())


def sample_sinusoids(tasks: int, generator: torch.Generator) -> Sinusoids:
    """So many curves."""
    return Sinusoids(_uniform(AMPLITUDES, (tasks,), generator), _uniform(PHASES, (tasks,), generator))


def pictured() -> Pictured:
    """A curve by five points in one half of the domain, as in the paper's figure 3."""
    given, whole = (_PICTURED.at(x[None]) for x in (torch.tensor(_PICTURED_X)[:, None], grid()))
    return Pictured(*(Examples(x[0], y[0]) for x, y in (given, whole)))


def grid() -> Tensor:
    """x over the domain; [point, 1]."""
    return torch.linspace(*DOMAIN, 201).unsqueeze(-1)


def _uniform(bounds: tuple[float, float], shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    low, high = bounds
    return low + (high - low) * torch.rand(shape, generator=generator)
