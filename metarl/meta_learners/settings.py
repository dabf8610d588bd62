"""Settings that several meta-learners share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from jsonargparse.typing import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from metarl.meta_learners.outer.clipped import ClippedConfig
from metarl.meta_learners.outer.trust_region import TrustRegionConfig
from metarl.objectives.policy_gradient import InnerObjective


@dataclass(frozen=True)
class AtLeast:
    """In `read_with`: the integers from a least one on."""

    least: int

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int) and value >= self.least

    def __str__(self) -> str:
        return f">= {self.least}"


@dataclass(frozen=True)
class GradientSteps:
    """Settings of every learner that adapts by gradient steps.

    Args:
        inner_step_size: alpha, the size of an inner gradient step; "auto", of maml and promp, finds it and
            learns it.
        later_step_scale: multiplies alpha after the first inner step, in training and adaptation; the
            original evaluation halves it.
        inner_objective: "vpg" or "lvc", the loss of the inner steps.
    """

    inner_step_size: PositiveFloat = 0.1
    later_step_scale: PositiveFloat = 1.0
    inner_objective: InnerObjective = "vpg"

    scales_later_steps: ClassVar[bool] = True
    """Whether the adaptation of a trained policy reads `later_step_scale`."""

    def step_size(self, step: int) -> float:
        """The size of inner step number `step`, from 0."""
        scale = 1.0 if step == 0 else self.later_step_scale
        return float(self.inner_step_size * scale)


@dataclass(frozen=True)
class InnerSteps(GradientSteps):
    """Settings of learners whose training adapts.

    Args:
        inner_steps: K, gradient steps of the adaptation, each on fresh episodes.
    """

    inner_steps: PositiveInt = 1

    @property
    def step_sizes(self) -> list[float]:
        return [self.step_size(step) for step in range(self.inner_steps)]


@dataclass(frozen=True)
class DifferentiatedSteps(InnerSteps):
    """Settings of learners that differentiate through their inner steps.

    Args:
        first_order: treat every inner gradient as a constant (FOMAML).
        differentiated_steps: differentiate through the last so many inner steps only; null for all.
        recompute: keep one inner step's graph at a time: memory that does not grow with inner_steps.

    Raises:
        ValueError: more differentiated steps than inner steps.
    """

    first_order: bool = False
    differentiated_steps: NonNegativeInt | None = None
    recompute: bool = False

    read_with: ClassVar[dict[str, Any]] = {"differentiated_steps": {"first_order": (False,)}}

    def __post_init__(self) -> None:
        if (self.differentiated_steps or 0) > self.inner_steps:
            raise ValueError(
                f"meta_learner.differentiated_steps: expected at most {self.inner_steps}, the inner_steps, "
                f"got {self.differentiated_steps}"
            )

    def is_first_order(self, step: int) -> bool:
        """Whether inner step number `step` is not differentiated through."""
        if self.first_order or self.differentiated_steps is None:
            return self.first_order
        return step < int(self.inner_steps) - int(self.differentiated_steps)


@dataclass(frozen=True)
class LearnableStep(DifferentiatedSteps):
    """Settings of learners that may learn their one inner step size.

    Args:
        learn_step_size: learn alpha with the policy, from `inner_step_size` on.
        first_step_kl: instead, from where the first inner step changes the untrained policies by this mean
            KL, nats, on the first iteration's tasks; 0 for no such search.

    In a config `inner_step_size: auto` stands for both, with a KL of 0.3.
    """

    learn_step_size: bool = False
    first_step_kl: NonNegativeFloat = 0.0

    read_with: ClassVar[dict[str, Any]] = {"first_step_kl": {"learn_step_size": (True,)}}
    spellings: ClassVar[dict[str, dict[str, dict[str, Any]]]] = {
        "inner_step_size": {"auto": {"learn_step_size": True, "first_step_kl": 0.3}}
    }


@dataclass(frozen=True)
class OuterChoice:
    """Settings of learners that take either outer step.

    Args:
        outer: "trpo" or "ppo", the outer step.
        trust_region: settings of "trpo".
        clipped: settings of "ppo". With several epochs, "vpg" takes its inner steps by log pi on episodes
            that the policy of the first epoch sampled, uncorrected by a ratio; "lvc" has the ratio.
    """

    outer: Literal["trpo", "ppo"] = "trpo"
    trust_region: TrustRegionConfig = field(default_factory=TrustRegionConfig)
    clipped: ClippedConfig = field(default_factory=ClippedConfig)

    read_with: ClassVar[dict[str, Any]] = {
        "trust_region": {"outer": ("trpo",)},
        "clipped": {"outer": ("ppo",)},
    }


@dataclass(frozen=True)
class GradientConfig(OuterChoice, DifferentiatedSteps):
    """Settings of MAML, ANIL and Meta-SGD: inner steps that are differentiated, and either outer step."""
