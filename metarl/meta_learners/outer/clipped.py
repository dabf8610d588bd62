"""The first-order outer step: Adam on a clipped surrogate, several times over one meta-batch.

Kingma and Ba 2015; Schulman et al. 2017; as ProMP's outer step (Rothfuss et al. 2019, algorithm 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from jsonargparse.typing import NonNegativeFloat, OpenUnitInterval, PositiveInt
from torch import Tensor

from metarl.errors import NonFiniteError
from metarl.math.parameters import Parameters, flatten
from metarl.meta_learners.inner.meta_gradient import MetaGradient
from metarl.meta_learners.outer.outer_step import OuterProblem, OuterResult, OuterStep, SurrogateAndKl
from metarl.meta_learners.outer.schedule import ScheduledRate

LEARNING_RATE = "meta_learner.clipped.learning_rate"
LARGEST_KL = math.log(torch.finfo(torch.float32).max)
"""In nats; policies further apart have density ratios beyond float32."""
_ALIKE: Mapping[str, float] = {}
"""Paces where all parameters move alike."""


@dataclass(frozen=True)
class ClippedConfig(ScheduledRate):
    """Adam with PPO's clipping.

    Args:
        epochs: Adam steps on one meta-batch.
        clip: ratios beyond 1 +- clip gain nothing.
        max_gradient_norm: longer gradients are cut to this length; 0 for no bound.

    Raises:
        ValueError: as `ScheduledRate`.
    """

    epochs: PositiveInt = 5
    clip: OpenUnitInterval = 0.3
    max_gradient_norm: NonNegativeFloat = 0.0

    section: ClassVar[str] = "meta_learner.clipped"


class AdamState(NamedTuple):
    """Adam's moments and step count by parameter, as torch's Adam names them."""

    exp_avg: Parameters
    exp_avg_sq: Parameters
    step: Parameters


def adam_start(parameters: Parameters) -> AdamState:
    """Before the first step: zeros."""
    first, second = ({name: torch.zeros_like(value) for name, value in parameters.items()} for _ in range(2))
    return AdamState(first, second, {name: torch.tensor(0.0) for name in parameters})


def clipped_ascent(config: ClippedConfig, paces: Mapping[str, float] = _ALIKE) -> OuterStep[AdamState]:
    """The outer step of PPO and ProMP.

    Args:
        paces: name -> how many times the learning rate moves it; 1 of the others.
    """

    def update(theta: Parameters, state: AdamState, problem: OuterProblem) -> OuterResult:
        return clipped_step(theta, state, problem.gradient, problem.evaluate, config, paces)

    return OuterStep(adam_start, update)


def clipped_step(
    parameters: Parameters,
    state: AdamState,
    gradient_at: Callable[[Parameters], MetaGradient],
    evaluate: Callable[[Parameters], SurrogateAndKl],
    config: ClippedConfig,
    paces: Mapping[str, float] = _ALIKE,
) -> OuterResult:
    """`epochs` Adam ascent steps; the moments come and go as tensors, so that a checkpoint holds them.

    Rejected as a whole where they lead to something that is not finite, or to a KL beyond `LARGEST_KL`.

    Args:
        state: Adam's, after the last update.
        gradient_at: parameters -> the gain's gradient there.
        evaluate: parameters -> surrogate and KL.
        paces: as of `clipped_ascent`.

    Raises:
        NonFiniteError: from `gradient_at` at the given parameters; nothing has changed.
    """
    leaves = {name: value.clone() for name, value in parameters.items()}
    rate = config.rate(updates_done(state, int(config.epochs)))
    adam = adam_of(leaves, state, rate, paces)
    found = _climb(leaves, adam, gradient_at, config)
    after = evaluate(leaves) if len(found) == config.epochs else SurrogateAndKl(math.nan, math.nan)
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
        return OuterResult(parameters, state, metrics, rejection)
    return OuterResult(leaves, adam_state(adam, leaves), metrics, None)


def updates_done(state: AdamState, epochs: int) -> int:
    """How many updates of so many Adam steps each lie behind a state."""
    return int(next(iter(state.step.values()))) // epochs


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
        scale = scale_within(float(config.max_gradient_norm), length)
        for name, leaf in leaves.items():
            leaf.grad = -scale * gradient[name]
        adam.step()
    for leaf in leaves.values():
        leaf.grad = None
    return found


def scale_within(longest: float, length: float) -> float:
    """What a gradient of some length is multiplied by so that none is longer; 0 for no bound."""
    return min(1.0, longest / length) if longest and length else 1.0


def why_wild(parameters: Parameters, after: SurrogateAndKl, setting: str) -> str | None:
    """Why an outer step cannot be continued, and the setting to change; None if it can."""
    if not (torch.isfinite(flatten(parameters)).all() and all(map(math.isfinite, after))):
        return f"not finite: try a smaller {setting}"
    return f"KL above {LARGEST_KL:.0f}: try a smaller {setting}" if after.kl > LARGEST_KL else None


def adam_of(
    leaves: Parameters, state: AdamState, learning_rate: float, paces: Mapping[str, float] = _ALIKE
) -> torch.optim.Adam:
    """torch's Adam over the leaves, going on from its state.

    Args:
        paces: as of `clipped_ascent`.
    """
    of_pace: dict[float, list[Tensor]] = {}
    for name, leaf in leaves.items():
        of_pace.setdefault(paces.get(name, 1.0), []).append(leaf)
    groups = [{"params": chosen, "lr": pace * learning_rate} for pace, chosen in of_pace.items()]
    adam = torch.optim.Adam(groups)
    for name, leaf in leaves.items():
        parts = {part: values[name].clone() for part, values in state._asdict().items()}
        # torch's Adam counts on the CPU, wherever the leaves lie.
        adam.state[leaf] = {**parts, "step": parts["step"].cpu()}
    return adam


def adam_state(adam: torch.optim.Adam, leaves: Parameters) -> AdamState:
    """The state after torch's Adam moved the leaves."""
    parts = {
        part: {name: adam.state[leaf][part] for name, leaf in leaves.items()} for part in AdamState._fields
    }
    return AdamState(**parts)


def adam_ascent(
    parameters: Parameters,
    state: AdamState,
    direction: Parameters,
    learning_rate: float,
    paces: Mapping[str, float] = _ALIKE,
) -> tuple[Parameters, AdamState]:
    """One step of Adam up a direction; the new parameters and state.

    Args:
        paces: as of `clipped_ascent`.
    """
    leaves = {name: value.clone() for name, value in parameters.items()}
    adam = adam_of(leaves, state, learning_rate, paces)
    for name, leaf in leaves.items():
        leaf.grad = -direction[name]
    adam.step()
    for leaf in leaves.values():
        leaf.grad = None
    return leaves, adam_state(adam, leaves)
