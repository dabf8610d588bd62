"""The groups of charts, and what an entry of the glossary tells."""

from __future__ import annotations

from typing import NamedTuple

ADAPTATION, TRAINING, HEALTH, INTERVALS, RESOURCES = (
    "adaptation",
    "adaptation_in_training",
    "health",
    "intervals_95",
    "resources",
)
CARD, SETTINGS, FAULT = "about/card", "about/config", "about/missing"
REJECTION = f"{HEALTH}/update/rejection"
GROUPS = {
    ADAPTATION: "Evaluation tasks, from the start to the end: the answer.",
    TRAINING: "The tasks that an iteration trains on, before and after its inner steps.",
    HEALTH: "Inner steps, outer step, exploration, baseline: why it does not learn, when it does not.",
    INTERVALS: "Ends of the 95 % intervals that the page Custom Scalars draws as bands.",
    RESOURCES: "Seconds of every phase, and memory.",
}
"""What the groups of charts are."""


class Entry(NamedTuple):
    """What a tag tells, and what to be alarmed by."""

    meaning: str
    sick: str

    @property
    def text(self) -> str:
        """Both, in Markdown."""
        return f"{self.meaning} **Sick:** {self.sick}"
