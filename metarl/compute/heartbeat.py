"""Signs of life between ranks: one that is stopped, or whose machine is gone, is noticed and named."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from torch.distributed import PrefixStore, Store  # type: ignore[attr-defined]  # public, but not in its stubs

SILENCE = 60
"""Seconds without a sign of life after which a rank is given up."""
_INTERVAL = 1.0
_ENDED = b"ended"


@contextmanager
def heartbeat(store: Store, rank: int, size: int, silence: int = SILENCE) -> Iterator[None]:
    """Shows within the block that this rank lives, and ends the process when the next rank no longer does.

    Every rank watches the next one, the last the first, so that an interval costs each few messages. Seconds
    are counted by this process's own ticks: where the whole machine slept, nobody is missing.

    Args:
        store: of the ranks.
        silence: seconds.
    """
    left = threading.Event()
    own = PrefixStore("heartbeat", store.clone())  # type: ignore[attr-defined]  # nor this
    watch = threading.Thread(target=_watch, args=(own, rank, size, silence, left), daemon=True)
    watch.start()
    try:
        yield
    finally:
        left.set()
        watch.join(timeout=5 * _INTERVAL)


def _watch(store: Store, rank: int, size: int, silence: int, left: threading.Event) -> None:
    watched, seen, silent, ticks = (rank + 1) % size, b"", 0, 0
    try:
        store.set_timeout(timedelta(seconds=silence))
        while not left.wait(_INTERVAL):
            ticks += 1
            store.set(str(rank), str(ticks))
            found = store.get(str(watched)) if store.check([str(watched)]) else b""
            lives = found == _ENDED or found != seen
            silent, seen = (0 if lives else silent + 1), found
            if silent * _INTERVAL >= silence:
                _give_up(rank, watched, silence)
        store.set(str(rank), _ENDED.decode())
    except RuntimeError:
        return  # the store went with the process that kept it: the ranks' next exchange tells


def _give_up(rank: int, watched: int, silence: int) -> None:
    """Ends the process at once: its main thread waits for the lost rank, and no signal would reach it."""
    print(
        f"error: rank {rank}: expected a sign of life from rank {watched}, got none for {silence} s: it is "
        "stopped, or its machine is gone; every finished iteration is kept: go on with --resume true",
        file=sys.stderr,
        flush=True,
    )
    os._exit(2)
