"""What the points of a curve of adaptation count: inner steps, or episodes of a trial."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Points:
    """The points of a curve: after 0, 1, ... inner steps, or so many episodes of a trial.

    Args:
        count: of points.
        trial_episodes: of a policy with memory, the episodes between two points; None of inner steps.
    """

    count: int
    trial_episodes: int | None = None

    @property
    def axis(self) -> str:
        """What is counted."""
        return "inner steps" if self.trial_episodes is None else "episodes before"

    @property
    def counted(self) -> str:
        """What returns are told by."""
        return "number of inner steps" if self.trial_episodes is None else "episodes before"

    @property
    def at(self) -> list[int]:
        """How many of them lie before every point."""
        return [point * (self.trial_episodes or 1) for point in range(self.count)]

    def text(self, point: int) -> str:
        """ "2 inner steps", or "1 episode"."""
        number, noun = self.at[point], "inner step" if self.trial_episodes is None else "episode"
        return f"{number} {noun}{'s' * (number != 1)}"

    @property
    def last_text(self) -> str:
        """Of the last point."""
        return self.text(self.count - 1)
