"""Command lines that tell what is wrong as everything else does: in one line."""

from __future__ import annotations

import argparse
import re
from difflib import get_close_matches
from typing import Any, NoReturn

from metarl.errors import one_line
from metarl.experiment.config_messages import EXPECTATIONS

_KINDS = {**EXPECTATIONS, "int": "an integer", "float": "a number"}
_TOLD = (
    (r"argument (\S+): invalid choice: (.*) \(choose from (.*)\)", r"\1: expected one of \3, got \2"),
    (r"argument (\S+): expected (?:one|at least one) argument", r"\1: expected a value, got none"),
    (r"argument (\S+): ignored explicit argument (.*)", r"\1: expected no value, got \2"),
    (r"the following arguments are required: (.*)", r"expected \1, got nothing"),
)
"""What argparse says, and how it is told; what it says otherwise stays as it is."""


class CommandParser(argparse.ArgumentParser):
    """Takes options by their whole names; ends the process with code 2 and one line: the option, what was
    expected, what was got."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{"allow_abbrev": False, **options})

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {self._told(one_line(message))}; {self.prog} --help tells more\n")

    def _told(self, message: str) -> str:
        unknown = re.fullmatch(r"unrecognized arguments: ((\S+).*)", message)
        if unknown is None:
            return _told(message)
        near = get_close_matches(unknown[2], self._option_string_actions, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"expected the arguments of this command, got {unknown[1]}{hint}"


def _told(message: str) -> str:
    if ill_typed := re.fullmatch(r"argument (\S+): invalid (\w+) value: (.*)", message):
        option, kind, found = ill_typed.groups()
        return f"{option}: expected {_KINDS.get(kind, kind)}, got {found}"
    for pattern, told in _TOLD:
        message = re.sub(f"^{pattern}$", told, message)
    return message
