"""The inner rule as a value: how a task's parameters become adapted ones, and how that is differentiated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple

from metarl.compute.task_map import TaskMap
from metarl.math.parameters import Parameters
from metarl.meta_learners.inner.gradient_step import Data, InnerStep, Loss, inner_path
from metarl.meta_learners.inner.meta_gradient import Gain, MetaGradient, TaskBatch, meta_gradient

RuleGradient = Callable[[Parameters, TaskBatch[Data], Gain[Data], TaskMap], MetaGradient]
"""(meta-parameters, tasks' data, gain, map) -> the gradient of the tasks' mean gain after adaptation."""


class Linearised(NamedTuple):
    """The adaptation of one task as a function of the meta-parameters, for its Jacobian.

    Args:
        adapt: (meta-parameters, one task's data) -> adapted parameters.
        data: of all tasks, tensors [task, ...].
    """

    adapt: Callable[[Parameters, Any], Parameters]
    data: Any


class PlainSteps(NamedTuple):
    """That a rule moves all parameters by plain gradient steps of fixed sizes, and by which.

    Args:
        objective: the name of the inner objective.
        loss: what it names.
        step_sizes: of every inner step; of a size that is learned, where it starts.
        first_order: whether the Jacobian of an inner step is taken for the identity.
        log_size: the name of the parameter whose exponential is the first step's size, where it is learned.
    """

    objective: Any
    loss: Loss[Any]
    step_sizes: Sequence[float]
    first_order: bool
    log_size: str | None = None


@dataclass(frozen=True)
class InnerRule(Generic[Data]):
    """An adaptation for any loss: of policies to episodes, of regressors to points.

    Args:
        step: (one task's parameters, its data, the step's number from 0) -> its parameters after the step.
        gradient: through the adaptation.
        linearised: (meta-parameters, tasks' data, map) -> the function whose Jacobian the curvature takes.
        entries: a network's own initial parameters -> what the rule learns beside them, at its start.
        plain: of a rule that is nothing but plain gradient steps; a hand-derived curvature may use it.
        size: (the step's number from 0) -> its size, of a rule whose steps are one number times a gradient.
        paces: of what it learns, how many times as fast Adam moves it as the network's parameters; 1 where
            nothing is said.
    """

    step: InnerStep[Data]
    gradient: RuleGradient[Data]
    linearised: Callable[[Parameters, TaskBatch[Data], TaskMap], Linearised]
    entries: Callable[[Parameters], Parameters]
    plain: PlainSteps | None = None
    size: Callable[[int], float] | None = None
    paces: Mapping[str, float] = field(default_factory=dict)


def no_entries(parameters: Parameters) -> Parameters:
    """Nothing is learned beside the network's own parameters."""
    return {}


def differentiated(
    step: InnerStep[Data],
    *,
    recompute: bool = False,
    entries: Callable[[Parameters], Parameters] = no_entries,
    plain: PlainSteps | None = None,
    size: Callable[[int], float] | None = None,
    paces: Mapping[str, float] | None = None,
) -> InnerRule[Data]:
    """The rule of a step that is differentiated through as it stands.

    Args:
        recompute: keep one inner step's graph at a time: memory that does not grow with their number.
    """

    def gradient(
        theta: Parameters, batch: TaskBatch[Data], gain: Gain[Data], task_map: TaskMap
    ) -> MetaGradient:
        return meta_gradient(step, gain, theta, batch, task_map, recompute=recompute)

    def linearised(theta: Parameters, batch: TaskBatch[Data], task_map: TaskMap) -> Linearised:
        return Linearised(lambda at, support: inner_path(step, at, support)[-1], batch.support)

    return InnerRule(step, gradient, linearised, entries, plain, size, paces or {})
