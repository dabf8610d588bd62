"""How long to train on labelled examples, and how often to do what: a section of a config."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jsonargparse.typing import NonNegativeInt, PositiveInt


@dataclass(frozen=True)
class SupervisedTraining:
    """How long to train on labelled examples, and how often to do what.

    Args:
        iterations: outer updates in all; 0 leaves the network as it starts.
        tasks: tasks per iteration (the meta-batch).
        checkpoint_every: save a checkpoint every this many iterations.
        table_every: print a line of the table every this many iterations.
        evaluate_every: evaluate on the validation split every this many iterations; 0 for none.
        evaluation_tasks: tasks of an evaluation, at the end of the test split.
        evaluation_steps: inner steps of an evaluation.
        device: "auto" takes a GPU when there is one.
        tasks_at_once: tasks that a thread works on together: fewer need less memory; 0 for a few on a CPU
            and all on a GPU. Results do not depend on it but for rounding.
        threads: threads that the tasks are spread over; 0 for one per CPU. Results do not depend on it.

    Raises:
        ValueError: one task in an evaluation, which has no interval.
    """

    iterations: NonNegativeInt = 1000
    tasks: PositiveInt = 16
    checkpoint_every: PositiveInt = 50
    table_every: PositiveInt = 50
    evaluate_every: NonNegativeInt = 0
    evaluation_tasks: PositiveInt = 600
    evaluation_steps: PositiveInt = 10
    device: str = "auto"
    tasks_at_once: NonNegativeInt = 0
    threads: NonNegativeInt = 0

    changeable: ClassVar[tuple[str, ...]] = (
        "iterations",
        "checkpoint_every",
        "table_every",
        "evaluate_every",
        "evaluation_tasks",
        "evaluation_steps",
        "threads",
    )
    """Keys that may differ at a resume: what is learned does not follow from them."""

    def __post_init__(self) -> None:
        if self.evaluation_tasks < 2:
            raise ValueError("training.evaluation_tasks: expected 2 or more, for an interval, got 1")
