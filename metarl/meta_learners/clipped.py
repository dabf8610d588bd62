"""The first-order outer step: Adam on a clipped surrogate, several times over one meta-batch.

Kingma and Ba 2015; Schulman et al. 2017; as ProMP's outer step (Rothfuss et al. 2019, algorithm 1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jsonargparse.typing import NonNegativeFloat, OpenUnitInterval, PositiveFloat, PositiveInt

from metarl.math.parameters import Parameters, flatten
from metarl.meta_learners.meta_gradient import MetaGradient

_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


@dataclass(frozen=True)
class ClippedConfig:
    """Adam with PPO's clipping.

    Args:
        learning_rate: of Adam.
        epochs: Adam steps on one meta-batch.
        clip: ratios beyond 1 +- clip gain nothing.
        max_gradient_norm: longer gradients are cut to this length; 0 for no bound.
    """

    learning_rate: PositiveFloat = 1e-3
    epochs: PositiveInt = 5
    clip: OpenUnitInterval = 0.3
    max_gradient_norm: NonNegativeFloat = 0.0


class ClippedResult(NamedTuple):
    parameters: Parameters
    optimiser: Parameters
    metrics: dict[str, float]


def clipped_step(
    parameters: Parameters,
    optimiser: Parameters,
    gradient_at: Callable[[Parameters], MetaGradient],
    config: ClippedConfig,
    *,
    learning_rate: float | None = None,
) -> ClippedResult:
    """`epochs` Adam ascent steps; the moments come and go as tensors, so that a checkpoint holds them.

    Args:
        optimiser: Adam's moments of the last update, or empty.
        gradient_at: parameters -> the gain's gradient there.
        learning_rate: instead of the config's, for a schedule.

    Raises:
        NonFiniteError: from `gradient_at`; nothing has changed.
    """
    leaves = {name: value.clone() for name, value in parameters.items()}
    rate: float = config.learning_rate if learning_rate is None else learning_rate
    adam = adam_of(leaves, optimiser, rate)
    found: list[MetaGradient] = []
    for _ in range(config.epochs):
        found.append(gradient_at(leaves))
        gradient = found[-1].gradient
        length = torch.linalg.vector_norm(flatten(gradient)).item()
        longest: float = config.max_gradient_norm
        scale = min(1.0, longest / length) if longest and length else 1.0
        for name, leaf in leaves.items():
            leaf.grad = -scale * gradient[name]
        adam.step()
    metrics = {
        "surrogate_before": found[0].gain,
        "surrogate_last_epoch": found[-1].gain,
        "meta_gradient_norm": torch.linalg.vector_norm(flatten(found[0].gradient)).item(),
        "learning_rate": rate,
        **found[0].metrics,
    }
    for leaf in leaves.values():
        leaf.grad = None
    return ClippedResult(leaves, moments_of(adam, leaves), metrics)


def adam_of(leaves: Parameters, moments: Parameters, learning_rate: float) -> torch.optim.Adam:
    """torch's Adam over the leaves, going on from its moments."""
    adam = torch.optim.Adam(list(leaves.values()), lr=learning_rate)
    if moments:
        for name, leaf in leaves.items():
            adam.state[leaf] = {part: moments[f"{part}.{name}"].clone() for part in _MOMENTS}
    return adam


def moments_of(adam: torch.optim.Adam, leaves: Parameters) -> Parameters:
    """Adam's moments and step count by name."""
    return {f"{part}.{name}": adam.state[leaf][part] for name, leaf in leaves.items() for part in _MOMENTS}
