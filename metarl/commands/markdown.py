"""Markdown for a person: laid out in a terminal, as it is elsewhere."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.markdown import Markdown


def print_markdown(text: str) -> None:
    """Prints it, its tables and headings laid out where there is a terminal."""
    if sys.stdout.isatty():
        Console().print(Markdown(text))
    else:
        print(text, end="" if text.endswith("\n") else "\n")
