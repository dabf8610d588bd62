"""Adam on critics, an actor and a temperature, and target critics that follow (Haarnoja et al. 2018b)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, TypeAlias

import torch
from jsonargparse.typing import (
    ClosedUnitInterval,
    NonNegativeInt,
    OpenUnitInterval,
    PositiveFloat,
    PositiveInt,
)
from torch import Tensor

from metarl.compute.task_map import TaskMap
from metarl.math.parameters import Parameters
from metarl.meta_learners.outer.clipped import AdamState, adam_of, adam_start, adam_state
from metarl.meta_learners.outer.descent import UNREAD, descend
from metarl.meta_learners.outer.schedule import ScheduledRate
from metarl.objectives.soft_actor_critic import soft_update

CRITICS = 2
Groups: TypeAlias = Mapping[str, tuple[str, ...]]
"""Who is stepped together, "critics", "actor", "temperature": beginnings of the names of its parameters."""


@dataclass(frozen=True)
class SoftConfig(ScheduledRate):
    """Soft actor-critic on replayed steps.

    Args:
        learning_rate: the rate of Adam, for all networks and the temperature; at the schedule's start.
        replay_ratio: gradient steps per environment step.
        learning_starts: environment steps before the first gradient step.
        replay_capacity: environment steps that are remembered, of all tasks together; older ones leave, 8 MB
            at a time, so that somewhat more are there. 0 for all.
        discount: gamma.
        target_rate: share of the target critics' way to the critics, at every gradient step.
        critic_sizes: units of a critic's hidden layers, ReLU.
        initial_temperature: alpha at the start.
        learns_temperature: whether alpha moves, towards an entropy of minus the number of actions, which are
            counted in the unit of their bound.

    Raises:
        ValueError: as `ScheduledRate`.
    """

    learning_rate: PositiveFloat = 3e-4
    replay_ratio: PositiveFloat = 0.03125
    learning_starts: NonNegativeInt = 0
    replay_capacity: NonNegativeInt = 5_000_000
    discount: ClosedUnitInterval = 0.99
    target_rate: OpenUnitInterval = 0.005
    critic_sizes: tuple[PositiveInt, ...] = (128, 128)
    initial_temperature: PositiveFloat = 1.0
    learns_temperature: bool = True

    unread: ClassVar[tuple[str, ...]] = UNREAD

    def gradient_steps(self, before: int, after: int) -> int:
        """How many are due when so many environment steps became so many; they add up over iterations."""

        def due(steps: int) -> int:
            return math.floor(max(0, steps - int(self.learning_starts)) * float(self.replay_ratio))

        return due(after) - due(before)


class SoftState(NamedTuple):
    """Adam's states, and the parameters of the target critics."""

    critics: AdamState
    actor: AdamState
    temperature: AdamState
    targets: Parameters


def soft_start(parameters: Parameters, groups: Groups) -> SoftState:
    """Before the first step: the target critics are the critics, whose names begin with "critic."."""
    adams = {group: adam_start(_of(parameters, names)) for group, names in groups.items()}
    targets = {name: value.clone() for name, value in parameters.items() if name.startswith("critic.")}
    return SoftState(**adams, targets=targets)


class SoftSteps:
    """Where gradient steps have led: parameters to differentiate by, target critics, and Adam's states.

    Args:
        updates: how many lie behind the state, for the learning rate's schedule.
    """

    def __init__(
        self,
        config: SoftConfig,
        groups: Groups,
        parameters: Parameters,
        state: SoftState,
        task_map: TaskMap,
        updates: int,
    ) -> None:
        self._config, self._groups, self._task_map = config, groups, task_map
        self.learning_rate = config.rate(updates)
        self.leaves = {name: value.clone().requires_grad_() for name, value in parameters.items()}
        self._adams = {
            group: adam_of(_of(self.leaves, names), getattr(state, group), self.learning_rate)
            for group, names in groups.items()
        }
        self.targets = state.targets

    @property
    def parameters(self) -> Parameters:
        return {name: leaf.detach() for name, leaf in self.leaves.items()}

    @property
    def state(self) -> SoftState:
        adams = {
            group: adam_state(adam, _of(self.leaves, self._groups[group]))
            for group, adam in self._adams.items()
        }
        return SoftState(**adams, targets=self.targets)

    def descend(self, group: str, loss: Tensor, share: Tensor) -> None:
        """One step of a group down the mean of all ranks' losses.

        Args:
            loss: the mean over this rank's share, [].
            share: its weight, [].
        """
        leaves = _of(self.leaves, self._groups[group])
        descend(self._adams[group], leaves, loss, share, self._task_map)

    def follow(self) -> None:
        """The target critics go their share of the way to the critics."""
        with torch.no_grad():
            self.targets = soft_update(self.targets, self.leaves, float(self._config.target_rate))


def _of(parameters: Parameters, names: tuple[str, ...]) -> Parameters:
    return {name: value for name, value in parameters.items() if name.startswith(names)}
