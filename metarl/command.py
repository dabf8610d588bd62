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
    if name not in COMMANDS:
        help_asked = name in ("-h", "--help")
        output = sys.stdout if help_asked else sys.stderr
        lines = [f"  {command:<12}{purpose}" for command, purpose in COMMANDS.items()]
        usage = "usage: metarl COMMAND ...   (metarl COMMAND --help tells more)\n"
        print(usage, *lines, sep="\n", file=output)
        if not help_asked:
            print(f"\nerror: expected one of the commands above, got {name!r}", file=output)
        return 0 if help_asked else 2
    sys.argv = [f"metarl {name}", *words]
    found: int = import_module(f"metarl.commands.{name}").main()
    return found


if __name__ == "__main__":
    sys.exit(main())
