"""Returns in the course of learning: what one costs, and what time or environment steps buy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from metarl_envs.task_parameters import Array


@dataclass(frozen=True)
class LearningCurve:
    """Returns in the course of learning.

    Args:
        environment_steps: taken in learning before every evaluation, [evaluation].
        seconds: of learning before it, [evaluation].
        returns: mean over tasks after 0, ..., K inner steps, [evaluation, step + 1]; of learning from scratch
            one alone, [evaluation, 1].
        complete: whether no evaluation of the comparison's is missing; else the cost of a return is an upper
            bound.
    """

    environment_steps: Array
    seconds: Array
    returns: Array
    complete: bool = True

    @property
    def after(self) -> Array:
        """After all inner steps, [evaluation]."""
        return self.returns[:, -1]

    def first_at(self, target: float) -> tuple[float, float] | None:
        """Environment steps and seconds of the first evaluation that reaches a return after all inner steps;
        None if none does."""
        reached = np.flatnonzero(self.after >= target)
        if not len(reached):
            return None
        return float(self.environment_steps[reached[0]]), float(self.seconds[reached[0]])

    def bought(self, amount: float, of: Array) -> Array | None:
        """Returns of the last policy that was kept for an amount, [step + 1]; None if none was.

        Args:
            of: what it is an amount of: the curve's `environment_steps` or `seconds`. A policy is kept after
                the iteration that passes a mark: one that is up to a twentieth beyond the amount counts.
        """
        affordable = np.flatnonzero(of <= 1.05 * amount)
        return self.returns[affordable[-1]] if len(affordable) else None
