"""The console command: metarl train|adapt|evaluate|render|zoo|push|compare|benchmark|sinusoid."""

from __future__ import annotations

import sys
from importlib import import_module

COMMANDS = {
    "train": "train a meta-policy: metarl train quickstart",
    "adapt": "adapt a run's meta-policy to one task",
    "evaluate": "measure a run on lists of tasks",
    "render": "film a run before and after adaptation, or an environment",
    "zoo": "list the meta-policies that come with the package",
    "push": "put a meta-policy on the Hugging Face Hub",
    "compare": "train and judge algorithms beside each other",
    "benchmark": "measure speed and memory against references",
    "sinusoid": "compare algorithms on sinusoid regression",
}


def main() -> int:
    """Runs the command that the first word names; 2 if there is none."""
    name, *words = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        lines = [f"  {command:<12}{purpose}" for command, purpose in COMMANDS.items()]
        print("usage: metarl COMMAND ...   (metarl COMMAND --help tells more)\n", *lines, sep="\n")
        return 0
    if name not in COMMANDS:
        expected = f"expected one of the commands {', '.join(COMMANDS)}, got {name!r}"
        print(f"error: {expected}; metarl --help tells more", file=sys.stderr)
        return 2
    sys.argv = [f"metarl {name}", *words]
    found: int = import_module(f"metarl.commands.{name}").main()
    return found


if __name__ == "__main__":
    sys.exit(main())
