"""Errors a user can act on: what was expected, what was found, what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping

_LONGEST = 2_000
"""Characters of a line; an unknown name is told with all that are known."""


def one_line(error: object) -> str:
    """A text, or an error's, in one line of readable length: a long one without its middle."""
    try:
        text = str(error)
    except Exception as unreadable:  # whatever an exception of others raises
        text = f"{type(error).__name__}, whose text raises {type(unreadable).__name__}"
    line = re.sub(r"\s+", " ", text).strip()
    line = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in line)
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 300]} ... {line[-250:]}"


def check_kinds(kinds: Mapping[str, tuple[type, ...]], given: Mapping[str, object]) -> None:
    """Checks the types of a function's arguments.

    Args:
        kinds: those that an argument may have, by its name; NoneType for None. A truth value is no number.
        given: arguments by name, others among them.

    Raises:
        TypeError: one has another type; the message names it.
    """
    for name, expected in kinds.items():
        value = given[name]
        if not isinstance(value, expected) or (isinstance(value, bool) and bool not in expected):
            names = " or ".join(kind.__name__ for kind in expected)
            raise TypeError(f"{name}: expected {names}, got {type(value).__name__}")


class MetaRLError(Exception):
    """Base of the errors that scripts report in one line, without a traceback.

    Attributes:
        rank: of several processes that raise it together, the one that met it; None of one's own.
    """

    rank: int | None = None

    def __str__(self) -> str:
        return one_line(super().__str__())


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
