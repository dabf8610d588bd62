"""The first-order outer step: Adam on a clipped surrogate, several times over one meta-batch.

Kingma and Ba 2015; Schulman et al. 2017; as ProMP's outer step (Rothfuss et al. 2019, algorithm 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jsonargparse.typing import NonNegativeFloat, OpenUnitInterval, PositiveFloat, PositiveInt

from metarl.errors import ConfigError, NonFiniteError
from metarl.math.parameters import Parameters, flatten
from metarl.meta_learners.outer.meta_gradient import MetaGradient
from metarl.meta_learners.outer.trust_region import Evaluation

LEARNING_RATE = "meta_learner.clipped.learning_rate"
LARGEST_KL = math.log(torch.finfo(torch.float32).max)
"""In nats; policies further apart have density ratios beyond float32."""
_LARGEST_RATE = 1e37
_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


@dataclass(frozen=True)
class ClippedConfig:
    """Adam with PPO's clipping.

    Args:
        learning_rate: the size of Adam's steps.
        epochs: Adam steps on one meta-batch.
        clip: ratios beyond 1 +- clip gain nothing.
        max_gradient_norm: longer gradients are cut to this length; 0 for no bound.
    """

    learning_rate: PositiveFloat = 1e-3
    epochs: PositiveInt = 5
    clip: OpenUnitInterval = 0.3
    max_gradient_norm: NonNegativeFloat = 0.0


class ClippedResult(NamedTuple):
    """The new parameters and moments (the old ones themselves if rejected), and the diagnostics."""

    parameters: Parameters
    optimiser: Parameters
    metrics: dict[str, float]
    rejection: str | None


def clipped_step(
    parameters: Parameters,
    optimiser: Parameters,
    gradient_at: Callable[[Parameters], MetaGradient],
    evaluate: Callable[[Parameters], Evaluation],
    config: ClippedConfig,
    *,
    learning_rate: float | None = None,
) -> ClippedResult:
    """`epochs` Adam ascent steps; the moments come and go as tensors, so that a checkpoint holds them.

    Rejected as a whole where they lead to something that is not finite, or to a KL beyond `LARGEST_KL`.

    Args:
        optimiser: Adam's moments of the last update, or empty.
        gradient_at: parameters -> the gain's gradient there.
        evaluate: parameters -> surrogate and KL.
        learning_rate: instead of the config's, for a schedule.

    Raises:
        NonFiniteError: from `gradient_at` at the given parameters; nothing has changed.
    """
    leaves = {name: value.clone() for name, value in parameters.items()}
    rate: float = config.learning_rate if learning_rate is None else learning_rate
    adam = adam_of(leaves, optimiser, rate)
    found = _climb(leaves, adam, gradient_at, config)
    after = evaluate(leaves) if len(found) == config.epochs else Evaluation(math.nan, math.nan)
    rejection = why_wild(leaves, after, LEARNING_RATE)
    metrics = {
        "surrogate_before": found[0].gain,
        "surrogate_last_epoch": found[-1].gain,
        "surrogate_after": found[0].gain if rejection else after.surrogate,
        "kl": 0.0 if rejection else after.kl,
        "accepted": float(rejection is None),
        "meta_gradient_norm": torch.linalg.vector_norm(flatten(found[0].gradient)).item(),
        "learning_rate": rate,
        **found[0].metrics,
    }
    if rejection:
        return ClippedResult(parameters, optimiser, metrics, rejection)
    return ClippedResult(leaves, moments_of(adam, leaves), metrics, None)


def _climb(
    leaves: Parameters,
    adam: torch.optim.Adam,
    gradient_at: Callable[[Parameters], MetaGradient],
    config: ClippedConfig,
) -> list[MetaGradient]:
    """Moves the leaves by `epochs` steps, or as many as have a finite gradient; returns the gradients."""
    found: list[MetaGradient] = []
    for epoch in range(config.epochs):
        try:
            found.append(gradient_at(leaves))
        except NonFiniteError:
            if not epoch:
                raise
            break
        gradient = found[-1].gradient
        length = torch.linalg.vector_norm(flatten(gradient)).item()
        longest: float = config.max_gradient_norm
        scale = min(1.0, longest / length) if longest and length else 1.0
        for name, leaf in leaves.items():
            leaf.grad = -scale * gradient[name]
        adam.step()
    for leaf in leaves.values():
        leaf.grad = None
    return found


def why_wild(parameters: Parameters, after: Evaluation, setting: str) -> str | None:
    """Why an outer step cannot be gone on from, and the setting to change; None if it can."""
    if not (torch.isfinite(flatten(parameters)).all() and all(map(math.isfinite, after))):
        return f"not finite: try a smaller {setting}"
    return f"KL above {LARGEST_KL:.0f}: try a smaller {setting}" if after.kl > LARGEST_KL else None


def check_learning_rate(key: str, rate: float) -> None:
    """Refuses what overflows in Adam's first step, where torch divides the rate by 0.1.

    Raises:
        ConfigError: it does.
    """
    if rate > _LARGEST_RATE:
        raise ConfigError(f"{key}: expected at most {_LARGEST_RATE:g}, got {rate:g}")


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
