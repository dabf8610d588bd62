"""Errors a user can act on: what was expected, what was found, what to do."""

from __future__ import annotations


class MetaRLError(Exception):
    """Base of the errors that scripts report in one line, without a traceback.

    Attributes:
        rank: of several processes that raise it together, the one that met it; None of one's own.
    """

    rank: int | None = None


class ConfigError(MetaRLError):
    """A setting that is unknown, ill-typed or impossible."""


class RunError(MetaRLError):
    """A run folder or checkpoint that cannot be used."""


class NonFiniteError(MetaRLError):
    """Something that should be finite is not.

    Args:
        what: what it is, and its value.
        task_index: the task's place in the batch; whoever knows the tasks names it.
        task: its name, where it is known at once.
        of_learner: whether the policy or its learner made it, not the environment.
    """

    def __init__(self, what: str, task_index: int, task: str = "", *, of_learner: bool = False) -> None:
        place = task or f"task {task_index} of the batch"
        super().__init__(f"expected finite numbers, got {what} in {place}")
        self.what = what
        self.task_index = task_index
        self.of_learner = of_learner


class TrainingError(MetaRLError):
    """Training cannot go on; the last good checkpoint is kept."""


class RanksError(MetaRLError):
    """Another process of a run is gone, or does not answer."""
