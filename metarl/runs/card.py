"""The card of a meta-policy that is given to others: where it is from, what it does, how to have it again.

It is Markdown with YAML in front, as the Hugging Face Hub reads it; the YAML has all that the text says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from metarl.adaptation.points import Points
from metarl.adaptation.statistics import Interval
from metarl.errors import RunError
from metarl.experiment.plain_yaml import as_plain, dump_yaml, load_yaml
from metarl.runs.files import CARD, write_atomically
from metarl.runs.tables import Table, interval_text, number_text

_FENCE = "---\n"
_KEY = "metarl"
_LATER = "trial_episodes"
"""What cards of policies without memory may lack."""


@dataclass(frozen=True)
class Card:
    """What is known of a meta-policy.

    Args:
        environment: id, options, and horizon in steps.
        algorithm: the meta-learner's name.
        seed, iterations, environment_steps: of its training.
        command: trains it again.
        made_with: metarl's version and commit that evaluated it.
        tasks: what the tasks of the evaluation are, "20 held-out tasks".
        evaluation: numbers of tasks, episodes and steps, and the seed.
        mean_return, low_95, high_95: over tasks after 0, 1, ..., K inner steps, or so many episodes of a
            trial, [step + 1], and its 95 % bootstrap interval, NaN where there is none.
        licence: by its SPDX name; empty where none is given.
        trial_episodes: of a policy with memory, the episodes between two points of its returns.
    """

    environment: Mapping[str, Any]
    algorithm: str
    seed: int
    iterations: int
    environment_steps: int
    command: str
    made_with: str
    tasks: str
    evaluation: Mapping[str, int]
    mean_return: tuple[float, ...]
    low_95: tuple[float, ...]
    high_95: tuple[float, ...]
    licence: str = ""
    trial_episodes: int | None = None

    @property
    def intervals(self) -> list[Interval]:
        """Mean returns with their intervals, by inner steps or episodes before."""
        return [Interval(*ends) for ends in zip(self.mean_return, self.low_95, self.high_95, strict=True)]

    def text(self, place: str) -> str:
        """The card, to be loaded from a place such as "zoo/point_navigation"."""
        front: dict[str, Any] = {"license": self.licence} if self.licence else {}
        front |= {
            "library_name": "metarl",
            "pipeline_tag": "reinforcement-learning",
            "tags": ["reinforcement-learning", "meta-reinforcement-learning", self.algorithm],
            _KEY: as_plain(asdict(self)),
        }
        return f"{_FENCE}{dump_yaml(front)}{_FENCE}\n{self._body(place)}"

    def _body(self, place: str) -> str:
        environment = self.environment
        name = environment["id"].removeprefix("metarl/").partition("-v")[0]
        options = "".join(f", {key} {value}" for key, value in environment["options"].items())
        facts = {
            "environment": f"`{environment['id']}`{options}, episodes of {environment['horizon']} steps",
            "algorithm": f"`{self.algorithm}`",
            "training": f"{self.iterations} iterations, {self.environment_steps:,} environment steps, "
            f"seed {self.seed}",
            "to train it again": f"`{self.command}`",
            "evaluated with": f"metarl {self.made_with}",
            "licence": self.licence,
        }
        points = Points(len(self.mean_return), self.trial_episodes)
        returns = Table(
            (points.axis, "mean return", "95 % interval"),
            [
                (f"{at}", number_text(one.mean), interval_text(one))
                for at, one in zip(points.at, self.intervals, strict=True)
            ],
        )
        each = "" if self.trial_episodes else f"{self.evaluation['episodes']} episodes a step, "
        numbers = " ".join(f"--{key} {value}" for key, value in self.evaluation.items())
        parts = [
            f"# A meta-policy for {name}, by {self.algorithm}",
            f'It adapts to a task of its family in a few episodes: `metarl.load("{place}")`, or '
            f"`metarl adapt {place} --task TASK.json`, after `pip install metarl-control`.",
            _facts(facts),
            f"Return on {self.tasks}, {each}by {points.counted}; the intervals are bootstrap intervals over "
            "the tasks, of this one seed:",
            returns.markdown().rstrip(),
            f"To measure it again: `metarl evaluate {place} {numbers}`.",
        ]
        return "\n\n".join(parts) + "\n"


def _facts(facts: Mapping[str, str]) -> str:
    """A Markdown table of two columns, without what is not known."""
    rows = [f"| {key} | {value} |" for key, value in facts.items() if value]
    return "\n".join(["| | |", "|---|---|", *rows])


def write_card(folder: Path, card: Card, place: str) -> None:
    """Writes a folder's card, for those who load it from a place."""
    write_atomically(folder / CARD, card.text(place).encode())


def read_card(folder: Path) -> Card:
    """Reads a folder's card; what a later version adds to it is left out.

    Raises:
        RunError: there is none, or it is damaged.
    """
    path = folder / CARD
    try:
        _, front, _ = path.read_text().split(_FENCE, 2)
        found = load_yaml(front)[_KEY]
        values = {
            one.name: found[one.name] for one in fields(Card) if one.name in found or one.name != _LATER
        }
        listed = {key: tuple(values[key]) for key in ("mean_return", "low_95", "high_95")}
        return Card(**{**values, **listed})
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise RunError(f"expected a card with metarl's facts in front, found none in {path}") from error


def shown_card(folder: Path) -> str:
    """A folder's card for a reader, without the YAML in front.

    Raises:
        RunError: there is none, or it is damaged.
    """
    read_card(folder)
    return (folder / CARD).read_text().split(_FENCE, 2)[2].lstrip()
