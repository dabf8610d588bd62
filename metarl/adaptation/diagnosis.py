"""What limits a policy's first inner step: its noise, its length, its task or the way it explores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from metarl_envs.task_parameters import Array
from metarl_envs.tasks import Tasks, number_of_tasks
from torch import Tensor

from metarl.adaptation.meta_batch import moved_by
from metarl.adaptation.walk import Visit, Walk
from metarl.math.parameters import Parameters, add_scaled, difference
from metarl.math.signal import Signal, signal_and_noise
from metarl.objectives.policy_gradient import memoryless
from metarl.policies.policy import TaskState
from metarl.rollouts.rollout import Rollout

LENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Of the step, that are tried."""


@dataclass(frozen=True)
class TriedLength:
    """A step of another length: the mean KL(behaviour || adapted), nats, and the tasks' returns [task]."""

    kl: float
    returns: Array


@dataclass(frozen=True)
class Diagnosis:
    """What was found. Returns are means of every task's episodes, [task], with the same noise everywhere.

    Args:
        signal: of the step, over rounds of fresh episodes.
        before: returns without a step.
        exact: after the mean of all rounds' steps, one on so many times as many episodes.
        other: after the step that another task's episodes ask for.
        lengths: the step of one round, so many times as long.
        std: of the policy by action dimension, [action].
        outside: the share of actions outside the box by action dimension, [action].
    """

    signal: Signal
    before: Array
    exact: Array
    other: Array
    lengths: dict[float, TriedLength]
    std: Array
    outside: Array
    environment_steps: int


def diagnose(
    walk: Walk,
    parameters: Parameters,
    tasks: Tasks,
    key: Sequence[int],
    *,
    rounds: int,
    bounds: tuple[Array, Array],
    progress: Callable[[], object] = lambda: None,
) -> Diagnosis:
    """Takes the first inner step again and again, and others in its place.

    Args:
        parameters: the meta-parameters, without a task axis.
        key: determines all randomness.
        rounds: fresh episodes to find the step from, two or more.
        bounds: the lowest and highest action, [action] each.
        progress: called after every rollout, `rollouts_of` times.

    Raises:
        ConfigError: the policy remembers.
        NonFiniteError: a task's adapted parameters are not finite.
    """
    policy = memoryless(walk.learner.policy)
    start = walk.start(parameters, number_of_tasks(tasks))
    taken = 0

    def counted(rollout: Rollout) -> Rollout:
        nonlocal taken
        taken += rollout.environment_steps
        progress()
        return rollout

    def returns(state: TaskState) -> Array:
        rollout = counted(walk.sampler.collect(state, tasks, [*key, rounds]))
        return np.asarray(rollout.returns.mean(-1).double().cpu().numpy())

    def moved(step: Parameters, scale: float = 1.0) -> TaskState:
        return start._replace(parameters=add_scaled(start.parameters, scale, step))

    visits: list[Visit] = []
    steps: list[Parameters] = []
    for number in range(rounds):
        visit = walk.visit(start, tasks, [*key, number])
        counted(visit.rollout)
        visits = visits or [visit]
        steps.append(difference(walk.adapt(visit.state, visit.batch).parameters, start.parameters))
    first = steps[0]
    lengths = {
        scale: TriedLength(moved_by(policy, moved(first, scale), visits[0], walk.task_map), returns(state))
        for scale in LENGTHS
        for state in [moved(first, scale)]
    }
    return Diagnosis(
        signal_and_noise(torch.stack([_joined(step) for step in steps])),
        returns(start),
        returns(moved({name: torch.stack([step[name] for step in steps]).mean(0) for name in first})),
        returns(moved({name: value.roll(1, 0) for name, value in first.items()})),
        lengths,
        *exploration(visits[0].rollout, bounds),
        taken,
    )


def rollouts_of(rounds: int) -> int:
    """Rollouts that a diagnosis takes."""
    return rounds + len(LENGTHS) + 3


def _joined(step: Parameters) -> Tensor:
    """[task, ...] each -> [task, D]."""
    return torch.cat([value.reshape(len(value), -1) for value in step.values()], dim=1)


def exploration(rollout: Rollout, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
    """The std of a rollout's actions, and the share of them outside the bounds; [action] each."""
    valid, actions = rollout.valid, rollout.actions
    low, high = (torch.as_tensor(bound, dtype=actions.dtype, device=actions.device) for bound in bounds)
    std = rollout.behaviour.std.expand_as(actions)[valid].double().mean(0)
    outside = ((actions < low) | (actions > high))[valid].double().mean(0)
    return std.cpu().numpy(), outside.cpu().numpy()
