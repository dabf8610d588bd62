"""Settings that several learners on labelled examples share."""

from __future__ import annotations

from dataclasses import dataclass, field

from jsonargparse.typing import PositiveFloat, PositiveInt

from metarl.supervised.learners.learner import AdamConfig


@dataclass(frozen=True)
class OuterConfig:
    """Settings of every learner.

    Args:
        adam: the outer step.
    """

    adam: AdamConfig = field(default_factory=AdamConfig)


@dataclass(frozen=True)
class StepConfig(OuterConfig):
    """Settings of learners that adapt by gradient steps.

    Args:
        inner_step_size: alpha, the size of an inner gradient step.
    """

    inner_step_size: PositiveFloat = 0.4

    def step_size(self, step: int) -> float:
        """That of every inner step, by its number."""
        return float(self.inner_step_size)


@dataclass(frozen=True)
class InnerStepsConfig(StepConfig):
    """Settings of learners whose training adapts.

    Args:
        inner_steps: K, gradient steps of the adaptation, of the updates in turn: [1, 1, 1, 3] takes three in
            every fourth.
    """

    inner_steps: tuple[PositiveInt, ...] = (1,)

    def __post_init__(self) -> None:
        if not self.inner_steps:
            raise ValueError("learner.inner_steps: expected one number or more, got none")

    def steps_of(self, updates: int) -> int:
        """K of the update after so many others."""
        return int(self.inner_steps[updates % len(self.inner_steps)])
