"""Gains of a task's adapted parameters, from any objective that is to be maximised."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from metarl.math.parameters import Parameters
from metarl.meta_learners.inner.gradient_step import Data
from metarl.meta_learners.inner.meta_gradient import Gain, Path

Objective = Callable[[Parameters, Data], Tensor]


def final_gain(objective: Objective[Data]) -> Gain[Data]:
    """That of the fully adapted parameters on the query data (Finn et al. 2017, eq. 4)."""

    def gain(path: Path, support: Sequence[Data], query: Data) -> Tensor:
        return objective(path[-1], query)

    return gain


def collected(support: Sequence[Data], query: Data) -> list[Data]:
    """What the parameters after every inner step collected: the next step's support, at last the query."""
    return [*support[1:], query]


def weighted_gain(objective: Objective[Data], weights: Sequence[float]) -> Gain[Data]:
    """sum_k w_k objective(theta^k; data_k) after every inner step (Antoniou et al. 2019, eq. 3), data_k what
    theta^k collected."""

    def gain(path: Path, support: Sequence[Data], query: Data) -> Tensor:
        return weighted_sum(objective, weights, path, collected(support, query))

    return gain


def weighted_sum(
    objective: Objective[Data], weights: Sequence[float], path: Path, judged_on: Sequence[Data]
) -> Tensor:
    """sum_k w_k objective(theta^k; data_k), [], of the parameters after every inner step.

    Args:
        path: theta^0, ..., theta^K.
        judged_on: data_1, ..., data_K.
    """
    judged = zip(weights, path[1:], judged_on, strict=True)
    return torch.stack([w * objective(theta, data) for w, theta, data in judged if w]).sum()


def multi_step_weights(steps: int, updates: int, annealed_over: int) -> list[float]:
    """Every inner step's weight: equal at first, then moving to the last (Antoniou et al. 2019, section 4).

    While they move, an earlier step keeps at least 0.03 / K; from `annealed_over` on the last one alone
    counts. Both as in the authors' code (few_shot_learning_system.py).
    """
    if steps == 1 or updates >= annealed_over:
        return [0.0] * (steps - 1) + [1.0]
    earlier = max(1 - updates / annealed_over, _LEAST_SHARE) / steps
    return [earlier] * (steps - 1) + [1.0 - (steps - 1) * earlier]


_LEAST_SHARE = 0.03
