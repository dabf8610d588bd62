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

from metarl.compute.task_map import TaskMap
from metarl.math.gaussian import DiagonalGaussian
from metarl.math.parameters import Parameters, flatten
from metarl.meta_learners.outer.clipped import AdamState, adam_of, updates_done
from metarl.meta_learners.outer.descent import UNREAD, descend, detached
from metarl.meta_learners.outer.schedule import ScheduledRate
from metarl.objectives.trials import Targets, TrialLoss, trial_loss, trial_targets
from metarl.policies.heads import tanh_layers, tanh_parameters
from metarl.rollouts.trials import Trials

VALUE = "value"
Unroll = Callable[[Parameters, Trials], tuple[DiagonalGaussian, Tensor]]
"""(parameters, trials) -> the distribution of every step's action [task, time, action], and the values."""


@dataclass(frozen=True)
class TrialConfig(ScheduledRate):
    """PPO over whole trials; a trial is the task's `sampling.episodes` episodes.

    Args:
        learning_rate: the rate of Adam on it, at the schedule's start.
        epochs: passes over the trials of an iteration.
        minibatches: parts of a pass, of whole trials; fewer where there are fewer tasks.
        clip: ratios beyond 1 +- clip gain nothing.
        discount: gamma, along the trial.
        gae_lambda: lambda, along the trial.
        value_sizes: units of the value's hidden layers, tanh.
        value_weight: c_v, of the value's loss.
        entropy_weight: c_e, of the entropy.
        max_gradient_norm: longer gradients are cut to this length; 0 for no bound.

    Raises:
        ValueError: as `ScheduledRate`.
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

    unread: ClassVar[tuple[str, ...]] = UNREAD


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
    config: TrialConfig,
    parameters: Parameters,
    optimiser: AdamState,
    trials: Trials,
    unroll: Unroll,
    task_map: TaskMap,
) -> Climbed:
    """`epochs` passes of Adam over minibatches of whole trials, each unrolled from its start.

    Args:
        parameters: those that Adam moves.
    """
    discount, gae_lambda = float(config.discount), float(config.gae_lambda)
    with torch.no_grad():
        behaviour, values = unroll(parameters, trials)
        targets = trial_targets(trials, values, discount, gae_lambda, task_map)
    leaves = {name: value.clone().requires_grad_() for name, value in parameters.items()}
    pieces = minibatches(trials, int(config.minibatches), task_map)
    rate = config.rate(updates_done(optimiser, int(config.epochs) * len(pieces)))
    adam = adam_of(leaves, optimiser, rate)
    for _ in range(int(config.epochs)):
        for piece in pieces:
            chosen, aimed = Trials(*(x[piece] for x in trials)), Targets(*(x[piece] for x in targets))
            found = trial_loss(chosen, aimed, *unroll(leaves, chosen), float(config.clip))
            steps, longest = chosen.valid.sum(), float(config.max_gradient_norm)
            norm = descend(adam, leaves, _total(config, found), steps, task_map, longest)
    after = {name: leaf.detach() for name, leaf in leaves.items()}
    with torch.no_grad():
        moved = behaviour.kl_divergence(unroll(after, trials)[0])
        found = task_map.weighted_mean(found, steps)
    left = task_map.masked_mean((targets.returns - values).square(), trials.valid)
    metrics = {
        "kl": task_map.masked_mean(moved, trials.valid).item(),
        "learning_rate": rate,
        "last_gradient_norm": norm,
        "value_explained": (1 - left / variance_of(targets.returns, trials.valid, task_map)).item(),
        "value_loss": found.value_loss.item(),
        "surrogate_last_minibatch": found.surrogate.item(),
    }
    return Climbed(after, detached(adam, leaves), metrics, bool(torch.isfinite(flatten(after)).all()))


def minibatches(trials: Trials, number: int, task_map: TaskMap) -> list[Tensor]:
    """This rank's trials in every minibatch: pieces of all ranks' trials in their order, [trial] each.

    Args:
        number: of minibatches; fewer where there are fewer trials.
    """
    everywhere = len(task_map.all_tasks(trials.valid[:, 0]))
    places = task_map.own_tasks(torch.arange(everywhere, device=trials.valid.device))
    pieces = torch.arange(everywhere, device=places.device).chunk(number)
    return [torch.isin(places, piece).nonzero().squeeze(1) for piece in pieces]


def _total(config: TrialConfig, loss: TrialLoss) -> Tensor:
    gain = loss.surrogate + float(config.entropy_weight) * loss.entropy
    return float(config.value_weight) * loss.value_loss - gain


def variance_of(values: Tensor, valid: Tensor, task_map: TaskMap) -> Tensor:
    """Of all valid entries of all ranks' tasks, at least 1e-12; a scalar."""
    mean = task_map.masked_mean(values, valid)
    return task_map.masked_mean((values - mean).square(), valid).clamp(min=1e-12)
