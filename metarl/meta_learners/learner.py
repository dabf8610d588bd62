"""What every meta-learner is: a state, an adaptation, and an update."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from metarl.math.parameters import Parameters
from metarl.policies.policy import AnyPolicy, TaskState
from metarl.rollouts.replay_shard import AnyReplay
from metarl.rollouts.rollout import Batch, MetaBatch


@dataclass(frozen=True)
class LearnerState:
    """All that training changes; a checkpoint holds this and the iteration.

    Args:
        parameters: the meta-parameters, learned step sizes and contexts among them.
        optimiser: what the outer step keeps between updates: a NamedTuple of tensors, parameter dicts and
            such NamedTuples.
        replay: rows of old episodes that it learns from again, all or this rank's shard of them; None of a
            learner that keeps none. They are kept in files of their own, of which a checkpoint adds new ones
            and removes the oldest.
    """

    parameters: Parameters
    optimiser: Any = ()
    replay: AnyReplay | None = None


NOT_FINITE = "not finite: try a smaller learning_rate"
"""Why an update by a learning rate is rejected that leads to what is not finite."""


class Update(NamedTuple):
    """The new state, diagnostics by name, and why the outer step was rejected if it was."""

    state: LearnerState
    metrics: dict[str, float]
    rejection: str | None = None


@dataclass(frozen=True)
class MetaLearner:
    """A learner as pure functions: it sees batches, never environments.

    Args:
        policy: what acts with the learner's parameters.
        inner_steps: adaptations between the rollouts of an iteration, each on fresh episodes.
        initial_parameters: generator -> the meta-parameters before training.
        start: meta-parameters -> the state there before the first update.
        adapt: (one task's state, its episodes [episode, time, ...]) -> its state after adapting to them;
            `state.adaptations` tells how many went before; beyond `inner_steps` they go on as the last ones.
        update: (state, meta-batch) -> one outer step; raises NonFiniteError where a gradient is not finite.
        inner_step_size: (an inner step's number from 0) -> its size, where it is one number times a gradient.
        reads_advantages: whether `sampling.advantages` is for it, as its settings declare; else batches hold
            NaN in their place.
    """

    policy: AnyPolicy
    inner_steps: int
    initial_parameters: Callable[[torch.Generator], Parameters]
    start: Callable[[Parameters], LearnerState]
    adapt: Callable[[TaskState, Batch], TaskState]
    update: Callable[[LearnerState, MetaBatch], Update]
    inner_step_size: Callable[[int], float] | None = None
    reads_advantages: bool = True

    def initial_state(self, generator: torch.Generator) -> LearnerState:
        """The state before training."""
        return self.start(self.initial_parameters(generator))


def named_tensors(state: Any) -> dict[str, Tensor]:
    """The tensors of an optimiser's state by name: "exp_avg.mean.bias", "kl_penalties".

    Raises:
        TypeError: another kind of state than `LearnerState` takes, or two of its tensors of one name.
    """
    if isinstance(state, Mapping):
        return dict(state)
    if state == ():
        return {}
    if not hasattr(state, "_fields"):
        raise TypeError(
            f"expected an optimiser's state that is a NamedTuple or a dict, got {type(state).__name__}"
        )
    named: dict[str, Tensor] = {}
    for field, value in zip(state._fields, state, strict=True):
        if isinstance(value, Tensor):
            found = {field: value}
        elif isinstance(value, Mapping):
            found = {f"{field}.{name}": tensor for name, tensor in value.items()}
        else:
            found = named_tensors(value)
        if twice := sorted(set(found) & set(named)):
            raise TypeError(f"expected other names in nested states of an optimiser, got {twice[0]!r} twice")
        named |= found
    return named


def with_tensors(state: Any, named: Mapping[str, Tensor]) -> Any:
    """The state of the same kind that holds given tensors.

    Raises:
        KeyError: one of its tensors is not among them.
    """
    if isinstance(state, Mapping):
        return {name: named[name] for name in state}
    if not hasattr(state, "_fields"):
        return state
    values: list[Any] = []
    for field, value in zip(state._fields, state, strict=True):
        if isinstance(value, Tensor):
            values.append(named[field])
        elif isinstance(value, Mapping):
            values.append({name: named[f"{field}.{name}"] for name in value})
        else:
            values.append(with_tensors(value, named))
    return type(state)(*values)


def remembered(state: TaskState, episodes: Batch) -> TaskState:
    """The adaptation of a policy with memory: its carry saw the episodes, and parameters stay."""
    return state._replace(adaptations=state.adaptations + 1)


def learned_metrics(parameters: Parameters, names: Mapping[str, Any]) -> dict[str, float]:
    """Mean and, of more than one number, root mean square of what a learner adds to a policy's parameters."""
    metrics: dict[str, float] = {}
    for name in names:
        value = parameters[name]
        metrics[f"mean_of_{name}"] = value.mean().item()
        if value.numel() > 1:
            metrics[f"rms_of_{name}"] = value.square().mean().sqrt().item()
    return metrics
