"""Inner rules of gradient steps: of one size, or of sizes that are learned."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection

import torch

from metarl.math.parameters import Parameters
from metarl.meta_learners.inner.gradient_step import Data, Loss, inner_step
from metarl.meta_learners.inner.rule import InnerRule, PlainSteps, differentiated, no_entries

SizeOf = Callable[[int], float]
"""The number of an inner step, from 0 -> its size."""
IsFirstOrder = Callable[[int], bool]
"""The number of an inner step, from 0 -> whether its gradient counts as a constant."""
STEP_SIZE = "step_size."
"""How the names of learned step sizes begin."""
LOG_STEP_SIZE = f"{STEP_SIZE}log"
"""Of the one that is learned for all parameters, as its logarithm."""
PACE_OF_LOG = 20.0
"""Times as fast as the network: Adam moves every number by about its rate, and five steps of 1e-3 would take
two hundred updates to change a size by a factor of e."""


def second_order(step: int) -> bool:
    """No inner step's gradient counts as a constant."""
    return False


def gradient_rule(
    loss: Loss[Data],
    size: SizeOf,
    *,
    names: Collection[str] | None = None,
    first_order: IsFirstOrder = second_order,
    recompute: bool = False,
    entries: Callable[[Parameters], Parameters] = no_entries,
    plain: PlainSteps | None = None,
) -> InnerRule[Data]:
    """theta' = theta - alpha grad L(theta; data) (Finn et al. 2017, eq. 1).

    Args:
        names: the parameters that move; None for all.
    """

    def step(parameters: Parameters, data: Data, k: int) -> Parameters:
        return inner_step(loss, parameters, data, size(k), names=names, first_order=first_order(k))

    return differentiated(step, recompute=recompute, entries=entries, plain=plain, size=size)


def learned_size(
    loss: Loss[Data],
    size: SizeOf,
    *,
    first_order: IsFirstOrder = second_order,
    recompute: bool = False,
    plain: PlainSteps | None = None,
) -> InnerRule[Data]:
    """theta' = theta - exp(a) grad L(theta; data), one number a for all parameters, learned with them.

    As a logarithm, so that a trust region weighs a change of the step by how far it moves the adapted
    policies: where an inner step hardly moves them, the size grows by large factors.

    Args:
        size: the first step's is where exp(a) starts; later ones scale it.
    """

    def step(parameters: Parameters, data: Data, k: int) -> Parameters:
        own = without_step_sizes(parameters)
        learned = parameters[LOG_STEP_SIZE].exp() * (size(k) / size(0))
        sizes = dict.fromkeys(own, learned)
        return inner_step(loss, parameters, data, sizes, names=own, first_order=first_order(k))

    def entries(parameters: Parameters) -> Parameters:
        like = next(iter(parameters.values()))
        return {LOG_STEP_SIZE: like.new_tensor(math.log(size(0)))}

    paces = {LOG_STEP_SIZE: PACE_OF_LOG}
    return differentiated(step, recompute=recompute, entries=entries, plain=plain, paces=paces)


def learned_sizes(
    loss: Loss[Data],
    size: SizeOf,
    *,
    first_order: IsFirstOrder = second_order,
    recompute: bool = False,
) -> InnerRule[Data]:
    """theta' = theta - alpha o grad L(theta; data), alpha of theta's shape (Li et al. 2017, eq. 3).

    Args:
        size: the first step's is where alpha starts; later ones scale it.
    """

    def step(parameters: Parameters, data: Data, k: int) -> Parameters:
        scale = size(k) / size(0)
        sizes = {name: scale * parameters[STEP_SIZE + name] for name in without_step_sizes(parameters)}
        return inner_step(loss, parameters, data, sizes, names=sizes, first_order=first_order(k))

    def entries(parameters: Parameters) -> Parameters:
        return {STEP_SIZE + name: size(0) * torch.ones_like(value) for name, value in parameters.items()}

    return differentiated(step, recompute=recompute, entries=entries)


def learned_layer_sizes(
    loss: Loss[Data],
    size: SizeOf,
    steps: int,
    *,
    first_order: IsFirstOrder = second_order,
    recompute: bool = False,
) -> InnerRule[Data]:
    """theta^{k+1} = theta^k - alpha_{k, layer} grad L(theta^k; data) (Antoniou et al. 2019, section 4).

    Args:
        size: where each step's sizes start.
        steps: how many steps have sizes of their own; later ones take the last.
    """

    def step(parameters: Parameters, data: Data, k: int) -> Parameters:
        last = min(k, steps - 1)
        own = without_step_sizes(parameters)
        sizes = {name: parameters[f"{STEP_SIZE}{last}.{layer(name)}"] for name in own}
        return inner_step(loss, parameters, data, sizes, names=own, first_order=first_order(k))

    def entries(parameters: Parameters) -> Parameters:
        layers = dict.fromkeys(layer(name) for name in parameters)
        like = next(iter(parameters.values()))
        return {f"{STEP_SIZE}{k}.{name}": like.new_tensor(size(k)) for k in range(steps) for name in layers}

    return differentiated(step, recompute=recompute, entries=entries)


def without_step_sizes(parameters: Parameters) -> list[str]:
    """The names that are not step sizes."""
    return [name for name in parameters if not name.startswith(STEP_SIZE)]


def layer(name: str) -> str:
    """The layer of a parameter: "hidden.0.weight" -> "hidden.0"."""
    return name.rsplit(".", 1)[0]
