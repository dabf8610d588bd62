"""How long to train, and how often to do what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jsonargparse.typing import NonNegativeInt, PositiveInt


@dataclass(frozen=True)
class TrainingConfig:
    """How long to train, and how often to do what.

    Args:
        iterations: outer updates in all; 0 leaves the policy as it starts.
        environment_steps: stops sooner, after the iteration that reaches so many; 0 for no bound.
        checkpoint_every: save a checkpoint every this many iterations.
        snapshot_every: environment steps between policies that are kept beside the last one; 0 for none.
        record_video_every: film one task before and after adaptation every this many iterations, and
            before the first one, for TensorBoard and the folder films; 0 for never.
        table_every: print a line of the table every this many iterations.
        evaluate_every: evaluate every this many iterations; 0 for none.
        evaluation_tasks: tasks of an evaluation, held out where a family has more than a few.
        evaluation_episodes: episodes per task and inner step of an evaluation.
        evaluation_steps: inner steps of an evaluation.
        figures: draw figures for TensorBoard after evaluations.
        device: "auto" takes a GPU when there is one.
        tasks_at_once: tasks that a thread of the update works on together: fewer need less memory; 0 for
            a few on a CPU and all on a GPU. Results do not depend on it but for rounding.
        threads: threads that the update spreads tasks over; 0 for one per CPU. Results do not depend on it.
    """

    iterations: NonNegativeInt = 100
    environment_steps: NonNegativeInt = 0
    checkpoint_every: PositiveInt = 1
    snapshot_every: NonNegativeInt = 0
    record_video_every: NonNegativeInt = 0
    table_every: PositiveInt = 10
    evaluate_every: NonNegativeInt = 0
    evaluation_tasks: PositiveInt = 40
    evaluation_episodes: PositiveInt = 20
    evaluation_steps: PositiveInt = 3
    figures: bool = True
    device: str = "auto"
    tasks_at_once: NonNegativeInt = 0
    threads: NonNegativeInt = 0

    changeable: ClassVar[tuple[str, ...]] = (
        "iterations",
        "environment_steps",
        "checkpoint_every",
        "snapshot_every",
        "figures",
        "record_video_every",
        "table_every",
        "evaluate_every",
        "evaluation_tasks",
        "evaluation_episodes",
        "evaluation_steps",
        "threads",
    )
    """Keys that may differ at a resume: what is learned does not follow from them."""

    def is_done(self, iteration: int, environment_steps: int) -> bool:
        """Whether training ends with so many iterations and environment steps done."""
        spent = bool(self.environment_steps) and environment_steps >= int(self.environment_steps)
        return spent or iteration >= int(self.iterations)

    def is_snapshot(self, before: int, environment_steps: int) -> bool:
        """Whether the policy after an iteration is kept, given the environment steps before and after it."""
        every = int(self.snapshot_every)
        return every > 0 and before // every < environment_steps // every
