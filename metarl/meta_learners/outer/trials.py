"""The outer step of policies with memory: PPO over whole trials, by Adam (Schulman et al. 2017)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from jsonargparse.typing import (
    ClosedUnitInterval,
    NonNegativeFloat,
    OpenUnitInterval,
    PositiveFloat,
    PositiveInt,
)
from torch import Tensor

from metarl.math.gaussian import DiagonalGaussian
from metarl.math.parameters import Parameters, flatten
from metarl.math.returns import masked_mean
from metarl.meta_learners.outer.clipped import AdamState, adam_of, adam_state, check_learning_rate
from metarl.objectives.trials import Targets, TrialLoss, trial_loss, trial_targets
from metarl.policies.heads import tanh_layers, tanh_parameters
from metarl.rollouts.trials import Trials

VALUE = "value"
NOT_FINITE = "not finite: try a smaller learning_rate"
Unroll = Callable[[Parameters, Trials], tuple[DiagonalGaussian, Tensor]]
"""(parameters, trials) -> the distribution of every step's action [task, time, action], and the values."""


@dataclass(frozen=True)
class TrialConfig:
    """PPO over whole trials; a trial is the task's `sampling.episodes` episodes.

    Args:
        learning_rate: of Adam.
        epochs: passes over the trials of an iteration.
        minibatches: of whole trials in a pass; fewer where there are fewer tasks.
        clip: ratios beyond 1 +- clip gain nothing.
        discount: gamma, along the trial.
        gae_lambda: lambda, along the trial.
        value_sizes: units of the value's hidden layers, tanh.
        value_weight: c_v, of the value's loss.
        entropy_weight: c_e, of the entropy.
        max_gradient_norm: longer gradients are cut to this length; 0 for no bound.

    Raises:
        ValueError: a learning rate that Adam cannot take.
    """

    learning_rate: PositiveFloat = 5e-4
    epochs: PositiveInt = 4
    minibatches: PositiveInt = 4
    clip: OpenUnitInterval = 0.1
    discount: ClosedUnitInterval = 0.97
    gae_lambda: ClosedUnitInterval = 0.9
    value_sizes: tuple[PositiveInt, ...] = (128,)
    value_weight: NonNegativeFloat = 0.5
    entropy_weight: NonNegativeFloat = 0.005
    max_gradient_norm: NonNegativeFloat = 0.5

    unread: ClassVar[tuple[str, ...]] = ("sampling.advantages",)

    def __post_init__(self) -> None:
        check_learning_rate("meta_learner.learning_rate", float(self.learning_rate))


class Climbed(NamedTuple):
    """What the epochs led to.

    Args:
        finite: whether all parameters are.
    """

    parameters: Parameters
    optimiser: AdamState
    metrics: dict[str, float]
    finite: bool


def value_parameters(config: TrialConfig, features: int, generator: torch.Generator) -> Parameters:
    """Of the value's head on so many features; its last layer is 0."""
    sizes = tuple(map(int, config.value_sizes))
    layers = tanh_parameters(VALUE, features, sizes, generator)
    last = sizes[-1] if sizes else features
    return {**layers, "value.weight": torch.zeros(1, last), "value.bias": torch.zeros(1)}


def values_of(config: TrialConfig, theta: Parameters, features: Tensor) -> Tensor:
    """Values [...] of features [..., feature]."""
    seen = tanh_layers(theta, VALUE, len(config.value_sizes), features)
    return torch.nn.functional.linear(seen, theta["value.weight"], theta["value.bias"]).squeeze(-1)


def climb(
    config: TrialConfig, parameters: Parameters, optimiser: AdamState, trials: Trials, unroll: Unroll
) -> Climbed:
    """`epochs` passes of Adam over minibatches of whole trials, each unrolled from its start.

    Args:
        parameters: those that Adam moves.
    """
    with torch.no_grad():
        behaviour, values = unroll(parameters, trials)
        targets = trial_targets(trials, values, float(config.discount), float(config.gae_lambda))
    leaves = {name: value.clone().requires_grad_() for name, value in parameters.items()}
    adam = adam_of(leaves, optimiser, float(config.learning_rate))
    pieces = torch.arange(len(trials.valid), device=values.device).chunk(int(config.minibatches))
    for _ in range(int(config.epochs)):
        for piece in pieces:
            chosen, aimed = Trials(*(x[piece] for x in trials)), Targets(*(x[piece] for x in targets))
            found = trial_loss(chosen, aimed, *unroll(leaves, chosen), float(config.clip))
            norm = descend(adam, leaves, _total(config, found), float(config.max_gradient_norm))
    after = {name: leaf.detach() for name, leaf in leaves.items()}
    with torch.no_grad():
        kl = masked_mean(behaviour.kl_divergence(unroll(after, trials)[0]), trials.valid).item()
    left = masked_mean((targets.returns - values).square(), trials.valid)
    metrics = {
        "kl": kl,
        "last_gradient_norm": norm,
        "value_explained": (1 - left / _variance(targets, trials)).item(),
        "value_loss": found.value_loss.item(),
        "surrogate_last_minibatch": found.surrogate.item(),
    }
    return Climbed(after, detached(adam, leaves), metrics, bool(torch.isfinite(flatten(after)).all()))


def descend(adam: torch.optim.Adam, leaves: Parameters, loss: Tensor, longest: float) -> float:
    """One step down the loss; the gradient's length before it is cut.

    Args:
        longest: longer gradients are cut to it; 0 for no bound.
    """
    adam.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    norm = torch.nn.utils.clip_grad_norm_([*leaves.values()], longest or float("inf"))
    adam.step()
    return norm.item()


def detached(adam: torch.optim.Adam, leaves: Parameters) -> AdamState:
    """Adam's state after its steps."""
    found = adam_state(adam, leaves)
    return AdamState(*({name: value.detach() for name, value in part.items()} for part in found))


def _total(config: TrialConfig, loss: TrialLoss) -> Tensor:
    gain = loss.surrogate + float(config.entropy_weight) * loss.entropy
    return float(config.value_weight) * loss.value_loss - gain


def _variance(targets: Targets, trials: Trials) -> Tensor:
    mean = masked_mean(targets.returns, trials.valid)
    return masked_mean((targets.returns - mean).square(), trials.valid).clamp(min=1e-12)
