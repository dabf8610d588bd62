"""What a step on VariBAD's bound draws: of every trial its own, whichever trials stand beside it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from metarl.compute.task_map import TaskMap


class BeliefDraws(NamedTuple):
    """Of every trial, in float64.

    Args:
        order: uniform, [trial]; a step takes the trials of the lowest.
        prefixes, steps: uniform, [trial, n]; which of its own prefixes and steps are taken. Of none, all are.
        noise: standard normal, [trial, prefix, z].
    """

    order: Tensor
    prefixes: Tensor
    steps: Tensor
    noise: Tensor

    def of(self, trials: Tensor) -> BeliefDraws:
        """Those of some trials, [trial] integers."""
        return BeliefDraws(*(part[trials] for part in self))


def belief_draws(
    seeds: Tensor, update: int, prefixes: int, steps: int, longest: int, latent: int
) -> BeliefDraws:
    """The draws of a step on the bound.

    Args:
        seeds: [trial] int64; a trial's draws follow from its own and the step's number alone.
        update: the step's number in the iteration.
        prefixes, steps: so many; 0 for all.
        longest: steps of the longest trial.
        latent: numbers of z.
    """
    drawn = []
    for seed in seeds.tolist():
        generator = np.random.default_rng((seed, update))
        uniform = (generator.random(number) for number in (1, prefixes, steps))
        # Last, as its number alone depends on the other trials.
        drawn.append((*uniform, generator.standard_normal((prefixes or longest + 1, latent))))
    order, *others = (torch.from_numpy(np.stack(part)).to(seeds.device) for part in zip(*drawn, strict=True))
    return BeliefDraws(order.squeeze(1), *others)


def taken(draws: BeliefDraws, number: int, task_map: TaskMap) -> Tensor:
    """Which of this rank's trials are among so many that a step takes of all ranks'; 0 takes all.

    Returns:
        Their places, [trial] integers.
    """
    order = task_map.all_tasks(draws.order)
    chosen = torch.zeros(len(order), dtype=torch.bool, device=order.device)
    chosen[order.argsort(stable=True)[: number or len(order)]] = True
    places: Tensor = task_map.own_tasks(chosen).nonzero().squeeze(1)
    return places
