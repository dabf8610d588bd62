"""The gradient of an outer gain through K inner steps, and what it costs in memory.

An inner step maps a parameter dict to a parameter dict; learned step sizes and contexts are entries of
it like the policy's own. The path theta^0, ..., theta^K is what a gain may look at. Data are episodes
here, but nothing knows that: points of a regression do as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from metarl.compute.task_map import TaskMap
from metarl.errors import NonFiniteError
from metarl.math.directions import mean_cosine, unit_vectors
from metarl.math.parameters import Parameters, first_not_finite
from metarl.meta_learners.inner.gradient_step import Data, InnerStep, inner_path

DataOut = TypeVar("DataOut", covariant=True)
Path = Sequence[Parameters]
Gain = Callable[[Path, Sequence[Data], Data], Tensor]
"""(theta^0 ... theta^K, support data, query data) of one task -> scalar to be maximised."""


class TaskBatch(Protocol[DataOut]):
    """Several tasks' data, pytrees of tensors [task, ...]: `MetaBatch`, if they are episodes."""

    @property
    def support(self) -> tuple[DataOut, ...]:
        """Of every inner step."""
        ...

    @property
    def query(self) -> DataOut: ...

    @property
    def tasks(self) -> int: ...


class MetaGradient(NamedTuple):
    """Ascent gradient of the tasks' mean gain, that gain, and diagnostics."""

    gradient: Parameters
    gain: float
    metrics: Mapping[str, float] = {}


def meta_gradient(
    step: InnerStep[Data],
    gain: Gain[Data],
    parameters: Parameters,
    batch: TaskBatch[Data],
    task_map: TaskMap,
    *,
    recompute: bool = False,
) -> MetaGradient:
    """Gradient of the tasks' mean gain in the meta-parameters.

    Args:
        recompute: keep one inner step's graph at a time instead of all K: memory that does not grow
            with K, for one more forward pass per step. The gradient is the same.

    Raises:
        NonFiniteError: a task's gradient is not finite.
    """
    task_gradient = _recomputed(step, gain) if recompute else _plain(step, gain)
    gradients, gains = task_map(
        task_gradient, batch.support, batch.query, shared=(parameters,), tasks=batch.tasks
    )
    return mean_gradient(gradients, gains, task_map)


def mean_gradient(
    gradients: Parameters, gains: Tensor, task_map: TaskMap, metrics: Mapping[str, float] = {}
) -> MetaGradient:
    """The mean over tasks of gradients [task, ...] and gains [task].

    Raises:
        NonFiniteError: a task's gradient is not finite.
    """
    if fault := first_not_finite(gradients):
        raise NonFiniteError(f"a meta-gradient of {fault[0]}", fault[1], of_learner=True)
    mean, gain = task_map.mean((gradients, gains))
    return MetaGradient(mean, gain.item(), {**metrics, **_agreement(gradients, task_map)})


def _agreement(gradients: Parameters, task_map: TaskMap) -> dict[str, float]:
    """Whether the tasks ask for the same outer step: the mean cosine between their gradients [task, ...].

    Nothing where fewer than two tasks have a gradient.
    """
    units = unit_vectors(gradients)
    cosine = mean_cosine(task_map.mean(units), task_map.reduction.gather(units.norm(dim=1)))
    return {} if cosine is None else {"task_cosine": cosine}


TaskGradient = Callable[[Parameters, Sequence[Data], Data], tuple[Parameters, Tensor]]


def _plain(step: InnerStep[Data], gain: Gain[Data]) -> TaskGradient[Data]:
    def of_meta_parameters(theta: Parameters, support: Sequence[Data], query: Data) -> Tensor:
        return gain(inner_path(step, theta, support), support, query)

    gradient: TaskGradient[Data] = torch.func.grad_and_value(of_meta_parameters)
    return gradient


def _recomputed(step: InnerStep[Data], gain: Gain[Data]) -> TaskGradient[Data]:
    """Backward through the steps one by one: g_k = (d step_k / d theta^k)' g_{k+1} + d gain / d theta^k."""

    def gradient(theta: Parameters, support: Sequence[Data], query: Data) -> tuple[Parameters, Tensor]:
        path = inner_path(step, theta, support)
        direct, value = torch.func.grad_and_value(gain)(path, support, query)
        total: Parameters = direct[-1]
        for k in reversed(range(len(support))):
            found: Any = torch.func.vjp(lambda at, k=k: step(at, support[k], k), path[k])
            through = found[1](total)[0]
            total = {name: through[name] + direct[k][name] for name in theta}
        return total, value

    return gradient
