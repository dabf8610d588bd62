"""That something wrong is told as it should be: in one clear line, within seconds."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from metarl.errors import MetaRLError

SECONDS = 20
LONGEST = 2_500
"""Characters of a line: a name that is unknown is told with all that are known."""


def refusal(action: Callable[[], Any], *others: type[Exception]) -> str | None:
    """The line by which an action refuses what it was given; None where it took it.

    Args:
        others: errors beside `MetaRLError` that may tell it.

    Raises:
        AssertionError: it is told in another way, or takes too long.
    """
    try:
        with _within(SECONDS):
            action()
    except (MetaRLError, *others) as error:
        line = str(error)
        assert line.isprintable(), f"not one line: {line[:300]!r}"
        assert 10 < len(line) <= LONGEST, f"{len(line)} characters: {line[:300]}"
        return line
    except (Exception, SystemExit) as error:
        raise AssertionError(f"{type(error).__name__}: {str(error)[:300]}") from error
    return None


@contextmanager
def _within(seconds: int) -> Iterator[None]:
    """Of the processor; of the clock, which runs on while others have it, six times as many."""

    def ring(*_: object) -> None:
        raise AssertionError(f"took more than {seconds} seconds")

    limits = {
        signal.SIGPROF: (signal.ITIMER_PROF, seconds),
        signal.SIGALRM: (signal.ITIMER_REAL, 6 * seconds),
    }
    before = {kind: signal.signal(kind, ring) for kind in limits}
    for timer, limit in limits.values():
        signal.setitimer(timer, limit)
    try:
        yield
    finally:
        for kind, (timer, _) in limits.items():
            signal.setitimer(timer, 0)
            signal.signal(kind, before[kind])
