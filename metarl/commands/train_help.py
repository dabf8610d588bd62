"""What metarl train CONFIG --help says of the config's keys."""

from __future__ import annotations

import sys

from metarl.errors import MetaRLError
from metarl.experiment.config import read_config, sections_of
from metarl.experiment.key_help import explain_keys


def print_keys(config: str | None, overrides: list[str]) -> int:
    """Prints every key of the config with its value, MAML's with their defaults without one."""
    try:
        kind = sections_of(config or {"meta_learner": {"name": "maml"}}, overrides)
        given = read_config(config, overrides).as_dict() if config else {}
    except MetaRLError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    which = f"value in {config}" if given else "default"
    named = "learner" if kind.supervised is not None else "meta_learner"
    others = f"; --{named}.name NAME --help shows another's" if named in kind.sections else ""
    print(f"\nKeys of a config, each with its {which}{others}.\n")
    print(explain_keys(kind, given))
    return 0
