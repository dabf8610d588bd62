"""Puts a meta-policy on the Hugging Face Hub: metarl push RUN_DIR hf://OWNER/NAME. A training run is first
evaluated, for the card, which is the repository's README.md; zoo/NAME has its card. Others
then have it by metarl.load("hf://OWNER/NAME"). Needs pip install "metarl-control[hub]", and hf auth login."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from metarl.commands.parser import CommandParser
from metarl.commands.publishing import add_card_arguments, write_entry
from metarl.errors import MetaRLError
from metarl.runs.hub import check_installed, repository_of, upload


def main() -> int:
    parser = CommandParser(description=__doc__)
    add_card_arguments(parser, licence="")
    parser.add_argument("repository", metavar="hf://OWNER/NAME", help="made if it is not there")
    parser.add_argument("--private", action="store_true", help="if it is made: for you alone")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # threads take whole tasks, as in training
    try:
        name = repository_of(arguments.repository)
        check_installed()
        with TemporaryDirectory() as folder:
            write_entry(arguments, Path(folder), f"hf://{name}")
            upload(Path(folder), name, private=arguments.private)
    except (MetaRLError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f'{arguments.run_dir} is at https://huggingface.co/{name}: metarl.load("hf://{name}")')
    return 0
