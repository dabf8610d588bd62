"""The console command: metarl train|adapt|evaluate|diagnose|render|zoo|push|compare|benchmark|sinusoid."""

from __future__ import annotations

import os
import re
import sys
import threading
from importlib import import_module

from metarl.errors import one_line
from metarl.interrupts import end_at_once, raise_interrupts

_OUT_OF_MEMORY = re.compile("can't allocate memory|out of memory", re.IGNORECASE)
_LOWER = "lower sampling.tasks, sampling.episodes, training.tasks_at_once or the policy's sizes"
_KEPT = "what was saved before is kept"
COMMANDS = {
    "train": "train a meta-policy: metarl train quickstart",
    "adapt": "adapt a run's meta-policy to one task",
    "evaluate": "measure a run on lists of tasks",
    "diagnose": "tell what limits a policy's first inner step",
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
    return run(name)


def run(name: str) -> int:
    """Runs a command with the words of `sys.argv`; tells in one line what ends it, its imports included.

    Returns:
        The command's exit code; 130 after Ctrl-C or a termination, 141 where nobody reads the output, 2 where
        files or memory fail.
    """
    threading.excepthook = _in_a_thread
    code = _run(name)
    end_at_once(code, "")
    return code


def _run(name: str) -> int:
    try:
        command = import_module(f"metarl.commands.{name}")
        raise_interrupts()
        code: int = command.main()
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at the end
        return 141
    except OSError as error:
        return _told(f"expected files to read and write, got {one_line(error)}; {_KEPT}")
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not _OUT_OF_MEMORY.search(str(error)):
            raise
        return _told(f"expected enough memory, got {one_line(error)[:300]}; {_LOWER}; {_KEPT}")


def _in_a_thread(failed: threading.ExceptHookArgs) -> None:
    """TensorBoard's thread raises its failures to write again where they are told."""
    if not issubclass(failed.exc_type, OSError):
        threading.__excepthook__(failed)


def _told(line: str) -> int:
    print(f"error: {line}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
