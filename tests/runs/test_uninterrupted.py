"""An interrupt in the middle of a last save comes after it."""

import os
import signal
import threading

import pytest

from metarl.runs.checkpoint import load_checkpoint
from metarl.runs.uninterrupted import uninterrupted
from metarl.training.observers import as_observer


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_the_end_of_the_block(number):
    before = signal.signal(number, signal.default_int_handler)
    done = []

    def work():
        with uninterrupted():
            os.kill(os.getpid(), number)
            done.append(sum(range(100_000)))

    try:
        with pytest.raises(KeyboardInterrupt):
            work()
        assert done
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)


def test_a_block_without_a_signal_leaves_handlers_and_errors_as_they_are():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(OSError, match="full"), uninterrupted():
        raise OSError("full")
    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_have_no_handlers():
    done = []

    def work():
        with uninterrupted():
            done.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [signal.getsignal(signal.SIGINT)]


def test_a_stop_while_a_failed_training_saves_loses_nothing(train_small, tmp_path, monkeypatch):
    """As torchrun sends it when another rank is gone."""
    sync, handler = os.fsync, signal.signal(signal.SIGTERM, signal.default_int_handler)
    sent = []

    def stop_and_sync(file):
        if not sent:
            sent.append(os.kill(os.getpid(), signal.SIGTERM))
        sync(file)

    def fail_after_two(iteration):
        if iteration.after.iteration == 2:
            monkeypatch.setattr(os, "fsync", stop_and_sync)
            raise RuntimeError("a rank is gone")

    try:
        observers = [as_observer(fail_after_two)]
        with pytest.raises(KeyboardInterrupt):
            train_small("--training.checkpoint_every", "100", observers=observers)
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert sent
    assert load_checkpoint(tmp_path / "run").iteration == 2
