"""Advantages of one task in plain Python floats, sum by sum: what proofs compare with.

Independent of the package: features, ridge regression, returns and GAE are written anew.
"""

from __future__ import annotations

import math
from itertools import chain
from typing import NamedTuple

import numpy as np

from metarl.rollouts.rollout import Rollout

RIDGE = 1e-5


class Episode(NamedTuple):
    """What happened up to its end; `last` is the observation after the last step."""

    observations: list[list[float]]
    rewards: list[float]
    last: list[float]
    terminated: bool


def episodes_of(rollout: Rollout, task: int) -> list[Episode]:
    found = []
    for e, length in enumerate(rollout.valid[task].sum(-1).tolist()):
        observations, rewards = rollout.observations[task, e, :length], rollout.rewards[task, e, :length]
        last, terminated = rollout.final_observations[task, e], bool(rollout.terminated[task, e])
        found.append(Episode(observations.tolist(), rewards.tolist(), last.tolist(), terminated))
    return found


def features(observation: list[float], t: int) -> list[float]:
    """Duan et al. 2016: observations within 10, their squares, and a cubic of t / 100."""
    near = [max(-10.0, min(10.0, x)) for x in observation]
    time = t / 100
    return [*near, *(x * x for x in near), time, time * time, time * time * time, 1.0]


def ridge_weights(rows: list[list[float]], targets: list[float]) -> list[float]:
    """argmin |F w - y|^2 + ridge |w|^2: least squares with the rows of sqrt(ridge) I below F."""
    size = len(rows[0])
    below = [[math.sqrt(RIDGE) * (i == j) for j in range(size)] for i in range(size)]
    found = np.linalg.lstsq(np.array(rows + below), np.array(targets + [0.0] * size), rcond=None)
    return [float(weight) for weight in found[0]]


def returns_to_go(rewards: list[float], discount: float) -> list[float]:
    return [
        sum(discount ** (k - t) * rewards[k] for k in range(t, len(rewards))) for t in range(len(rewards))
    ]


def slow_gae(rewards: list[float], values: list[float], discount: float, gae_lambda: float) -> list[float]:
    """Schulman et al. 2016, eq. 16, term by term; the last value is that after the last step."""
    length, decay = len(rewards), discount * gae_lambda
    deltas = [rewards[t] + discount * values[t + 1] - values[t] for t in range(length)]
    return [sum(decay ** (k - t) * deltas[k] for k in range(t, length)) for t in range(length)]


def slow_advantages(
    episodes: list[Episode],
    *,
    discount: float,
    gae_lambda: float,
    bootstrap_truncated: bool,
    normalise: bool,
) -> tuple[list[list[float]], float]:
    """Advantages [episode][time] of one task, and the share of its returns' variance that values explain."""
    rows = [[features(o, t) for t, o in enumerate(episode.observations)] for episode in episodes]
    targets = [returns_to_go(episode.rewards, discount) for episode in episodes]
    weights = ridge_weights([*chain(*rows)], [*chain(*targets)])

    def value(inputs: list[float]) -> float:
        return sum(w * x for w, x in zip(weights, inputs, strict=True))

    found, left = [], []
    for episode, inputs, target in zip(episodes, rows, targets, strict=True):
        length = len(episode.rewards)
        bootstrap = bootstrap_truncated and not episode.terminated
        values = [*map(value, inputs), value(features(episode.last, length)) if bootstrap else 0.0]
        found.append(slow_gae(episode.rewards, values, discount, gae_lambda))
        left += [y - v for y, v in zip(target, values, strict=False)]
    explained = 1 - variance(left) / variance([*chain(*targets)])
    if not normalise:
        return found, explained
    every = [*chain(*found)]
    mean, deviation = sum(every) / len(every), math.sqrt(variance(every))
    return [[(a - mean) / deviation for a in advantages] for advantages in found], explained


def variance(values: list[float]) -> float:
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values) / len(values)
