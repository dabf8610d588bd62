"""Lists the meta-policies that come with the package, with their returns after 0, 1, ... inner steps of so
many episodes; a policy with memory plays so many instead of a step: metarl zoo. One's card tells where
it is from: metarl zoo NAME. Wherever a command takes a run's folder, it takes zoo/NAME: metarl adapt
zoo/point_navigation --task '{"goal": [0.3, -0.4]}'."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

from rich.console import Console

from metarl.adaptation.statistics import Interval
from metarl.commands.markdown import print_markdown
from metarl.commands.parser import CommandParser
from metarl.errors import MetaRLError
from metarl.runs.card import Card, read_card, shown_card
from metarl.runs.places import ZOO, find_in_zoo, zoo_names
from metarl.runs.tables import Table, number_text


def main() -> int:
    parser = CommandParser(description=__doc__)
    parser.add_argument("name", nargs="?", help="of one, whose card is to be shown")
    name = parser.parse_args().name
    try:
        if name is not None:
            print_markdown(shown_card(find_in_zoo(name.removeprefix("zoo/"))))
            return 0
        table = zoo_table({one: read_card(ZOO / one) for one in zoo_names()})
    except MetaRLError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if sys.stdout.isatty():
        Console().print(table.rich())
    else:
        print(table.text())
    return 0


def zoo_table(cards: Mapping[str, Card], cell: Callable[[Interval], str] | None = None) -> Table:
    """A row a meta-policy: its environment, algorithm, training's steps, a step's episodes, returns by steps.

    Args:
        cards: by the policies' names.
        cell: the text of a return; None for its mean.
    """
    most = max((len(card.mean_return) for card in cards.values()), default=0)
    rows = []
    for name, card in cards.items():
        returns = [cell(one) if cell else number_text(one.mean) for one in card.intervals]
        rows.append(
            (
                f"zoo/{name}",
                str(card.environment["id"]).removeprefix("metarl/"),
                card.algorithm,
                f"{card.environment_steps:,}",
                str(card.evaluation["episodes"]),
                *returns,
            )
        )
    titles = ("before", *(f"{k} step{'s' * (k > 1)}" for k in range(1, most)))[:most]
    filled = [(*row, *[""] * (5 + most - len(row))) for row in rows]
    return Table(
        ("meta-policy", "environment", "algorithm", "steps", "episodes", *titles),
        filled,
        left=("environment", "algorithm"),
    )
