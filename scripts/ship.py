"""Puts a training run into the zoo that comes with the package: python scripts/ship.py RUN_DIR NAME. It is
evaluated on held-out tasks; policy, config and card go into metarl/zoo/NAME, the table into docs/zoo.md."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import torch

from metarl.commands.parser import CommandParser
from metarl.commands.publishing import add_card_arguments, write_entry
from metarl.commands.zoo import zoo_table
from metarl.errors import ConfigError, MetaRLError
from metarl.runs.card import read_card
from metarl.runs.places import zoo_names
from metarl.runs.tables import measured_text

START, END = "<!-- zoo: written by scripts/ship.py -->", "<!-- end of zoo -->"


def main() -> int:
    parser = CommandParser(description=__doc__)
    add_card_arguments(parser, licence="mit")
    parser.add_argument("name", help="snake_case, e.g. half_cheetah_dir")
    parser.add_argument("--replace", action="store_true", help="the one of that name")
    parser.add_argument(
        "--checkout", type=Path, default=Path(__file__).parents[1], help="of metarl (the script's own)"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # threads take whole tasks, as in training
    zoo, page = arguments.checkout / "metarl/zoo", arguments.checkout / "docs/zoo.md"
    try:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", arguments.name):
            raise ConfigError(f"NAME: expected snake_case, e.g. half_cheetah_dir, got {arguments.name}")
        if arguments.name in zoo_names(zoo) and not arguments.replace:
            raise ConfigError(f"NAME: expected a new one, got {arguments.name}, which is there: --replace")
        write_entry(arguments, zoo / arguments.name, f"zoo/{arguments.name}")
        write_table(page, zoo)
    except (MetaRLError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{arguments.run_dir} is in {zoo / arguments.name}, and in the table of {page}")
    return 0


def write_table(page: Path, zoo: Path) -> None:
    """Writes the table of all meta-policies of a zoo between the markers of a page."""
    table = zoo_table({name: read_card(zoo / name) for name in zoo_names(zoo)}, measured_text).markdown()
    before, _, rest = page.read_text().partition(START)
    page.write_text(f"{before}{START}\n\n{table}\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    sys.exit(main())
