"""What every policy is: a pure function of parameters and observations."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from metarl.math.gaussian import DiagonalGaussian
from metarl.math.parameters import Parameters


class Policy(Protocol):
    """A stochastic policy: its parameters are created here and passed in everywhere."""

    @property
    def observation_size(self) -> int: ...

    @property
    def action_size(self) -> int: ...

    def initial_parameters(self, generator: torch.Generator) -> Parameters: ...

    def __call__(self, parameters: Parameters, observations: Tensor) -> DiagonalGaussian:
        """Observations [..., observation] -> distribution [..., action].

        Parameters may have a leading task axis; observations then start with the same.
        """
        ...
