"""Ctrl-C and termination while a command imports or ends: the process ends at once, without a traceback.

An interrupt within an import would come out as the failure of whatever is being imported.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType


def _is_command() -> bool:
    """Whether this process was started as a command of the package, or as a script of its checkout."""
    given, here = sys.orig_argv, os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    started = sys.argv[0] if sys.argv else ""
    if started == "-m":  # as it is while the package itself is imported
        return given[given.index("-m") + 1 :][:1] == ["metarl"]
    scripts = os.path.join(here, "scripts")
    return os.path.basename(started) == "metarl" or os.path.dirname(os.path.realpath(started)) == scripts


COMMAND = _is_command()
"""Whether signals are this package's to handle."""


def end_at_once(code: int = 130, line: str = "\nStopped.\n") -> None:
    """From now on a command ends with that code where it is; there is nothing to be kept."""

    def end(number: int, frame: FrameType | None) -> None:
        _end_children()
        os.write(2, line.encode())
        os._exit(code)

    _handle(end)


def raise_interrupts() -> None:
    """From now on a command gets KeyboardInterrupt, for a termination too."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _handle(signal.default_int_handler)


def _end_children() -> None:
    """Those that an import started, as GLFW's does to find its library, would tell of the pipe that broke."""
    with suppress(OSError):  # Linux's list of them is not everywhere
        for thread in os.listdir("/proc/self/task"):
            with open(f"/proc/self/task/{thread}/children") as file:
                for child in file.read().split():
                    os.kill(int(child), signal.SIGKILL)


def _handle(handler: Callable[[int, FrameType | None], object]) -> None:
    """Leaves signals that are ignored, as in the background of a shell, to be ignored."""
    for number in (signal.SIGINT, signal.SIGTERM) if COMMAND else ():
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


end_at_once()  # while all else is imported
