"""The cost of reaching a return."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from metarl_envs.task_parameters import Array


@dataclass(frozen=True)
class LearningCurve:
    """The return after adaptation in the course of learning.

    Args:
        environment_steps: taken in learning before every evaluation, [evaluation].
        seconds: of learning before it, [evaluation].
        returns: mean over tasks, [evaluation].
        complete: whether no evaluation of the comparison's is missing; else the cost of a return is an upper
            bound.
    """

    environment_steps: Array
    seconds: Array
    returns: Array
    complete: bool = True

    def first_at(self, target: float) -> tuple[float, float] | None:
        """Environment steps and seconds of the first evaluation that reaches a return; None if none does."""
        reached = np.flatnonzero(self.returns >= target)
        if not len(reached):
            return None
        return float(self.environment_steps[reached[0]]), float(self.seconds[reached[0]])
