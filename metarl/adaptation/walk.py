"""The adaptation walk: sample, estimate advantages, adapt, sample again. The only one there is."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from metarl.compute.task_map import TaskMap
from metarl.errors import NonFiniteError
from metarl.math.parameters import Parameters, first_not_finite, repeat
from metarl.meta_learners.learner import MetaLearner
from metarl.policies.policy import Carry, TaskState
from metarl.rollouts.advantages import AdvantageConfig, batch_of, compute_advantages
from metarl.rollouts.rollout import Batch, Rollout


class Sampler(Protocol):
    """Where episodes come from: `RolloutSampler`, or `EpisodeSampler` for one ordinary environment."""

    def collect(
        self, state: TaskState, tasks: Any, key: Sequence[int], *, deterministic: bool = False
    ) -> Rollout: ...


class Visit(NamedTuple):
    """What one round of episodes gave.

    Args:
        state: whose episodes they are, its carry that after them.
        explained: the share of the returns' variance that the baseline explains, [task]; None where the
            learner reads no advantages.
        seconds: by what was done.
    """

    state: TaskState
    rollout: Rollout
    batch: Batch
    explained: Tensor | None
    seconds: dict[str, float]


@dataclass(frozen=True)
class Walk:
    """All that adaptation needs: a sampler, a learner and how advantages are estimated."""

    sampler: Sampler
    learner: MetaLearner
    advantages: AdvantageConfig
    task_map: TaskMap

    def start(self, parameters: Parameters, tasks: int) -> TaskState:
        """The state of so many tasks before adaptation, from meta-parameters without a task axis."""
        return TaskState(repeat(parameters, tasks), {})

    def visit(self, state: TaskState, tasks: Any, key: Sequence[int]) -> Visit:
        """Samples episodes and estimates their advantages.

        Args:
            state: tensors [task, ...].
            tasks: as the sampler takes them.
            key: determines all randomness.
        """
        started = time.perf_counter()
        rollout = self.sampler.collect(state, tasks, key)
        sampled = time.perf_counter()
        batch, explained = self._batch(rollout)
        seconds = {"sampling": sampled - started, "advantages": time.perf_counter() - sampled}
        return Visit(state._replace(carry=rollout.carry), rollout, batch, explained, seconds)

    def _batch(self, rollout: Rollout) -> tuple[Batch, Tensor | None]:
        if self.learner.reads_advantages:
            return compute_advantages(rollout, self.advantages)
        return batch_of(rollout, torch.full_like(rollout.rewards, math.nan)), None

    def adapt(self, state: TaskState, episodes: Batch) -> TaskState:
        """Every task's state after adapting to its episodes, detached.

        Args:
            state: tensors [task, ...].
            episodes: [task, episode, time, ...].

        Raises:
            NonFiniteError: a task's adapted parameters are not finite.
        """
        adaptations = state.adaptations

        def adapt_task(parameters: Parameters, carry: Carry, data: Batch) -> tuple[Parameters, Carry]:
            after = self.learner.adapt(TaskState(parameters, carry, adaptations), data)
            return after.parameters, after.carry or {}

        tasks = len(episodes.valid)
        with torch.no_grad():
            adapted = self.task_map(adapt_task, state.parameters, state.carry or {}, episodes, tasks=tasks)
        parameters, carry = adapted
        if fault := first_not_finite(parameters):
            raise NonFiniteError(f"adapted parameters {fault[0]}", fault[1], of_learner=True)
        return TaskState(parameters, carry, adaptations + 1)

    def walk(
        self, state: TaskState, tasks: Any, key: Sequence[int], steps: int
    ) -> Iterator[tuple[Visit, TaskState]]:
        """Visits and adapts so many times: every visit, with the state after adapting to it.

        Args:
            key: visit number k has the key [*key, k], from 0.
        """
        for step in range(steps):
            visit = self.visit(state, tasks, [*key, step])
            started = time.perf_counter()
            state = self.adapt(visit.state, visit.batch)
            visit.seconds["adaptation"] = time.perf_counter() - started
            yield visit, state
