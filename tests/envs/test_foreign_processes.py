"""How copies of foreign environments are spread over processes, and what happens when one fails."""

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from metarl_envs.foreign.foreign_vector_env import ForeignEnvError, ForeignVectorEnv

from tests.support.tiny_envs import Drift

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
COPIES = 7
ROOT = Path(__file__).parents[2]


class Counted(Drift):
    """Tells the process it lives in, and leaves a mark when it is built and when it is closed."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder
        self.mark("built")

    def mark(self, what):
        (self.folder / f"{what}-{os.getpid()}-{id(self)}").touch()

    def step(self, action):
        observation, _, terminated, truncated, info = super().step(action)
        return observation, float(os.getpid()), terminated, truncated, info

    def close(self):
        self.mark("closed")


class Breaking(Drift):
    """Raises where its task says so."""

    def set_task(self, task):
        self.stage = {1: "reset", 2: "step", 3: "exit"}.get(round(task["velocity"]))

    def reset(self, **arguments):
        if self.stage == "reset":
            raise LookupError("the drawer is\nempty")
        return super().reset(**arguments)

    def step(self, action):
        if self.stage == "step":
            raise LookupError("the drawer is\nempty")
        if self.stage == "exit":
            os._exit(3)
        return super().step(action)


class Slow(Drift):
    """Takes two seconds for a step."""

    def step(self, action):
        time.sleep(2)
        return super().step(action)


class Hanging(Breaking):
    """Never comes back where its task says so."""

    def reset(self, **arguments):
        if self.stage == "reset":
            time.sleep(1000)
        return super().reset(**arguments)

    def step(self, action):
        if self.stage == "step":
            time.sleep(1000)
        return super().step(action)


def actions(steps=6):
    return np.random.default_rng(0).uniform(-1, 1, (steps, COPIES, 1))


def played(mode, processes):
    """Every observation, reward and end of a few steps, and the number of processes."""
    with closing(ForeignVectorEnv(Drift, COPIES, mode, processes)) as envs:
        envs.set_tasks({"velocity": np.linspace(-1, 1, COPIES)})
        first, _ = envs.reset(seed=range(COPIES))
        started = len(multiprocessing.active_children())
        steps = [envs.step(action)[:4] for action in 3 * actions()]
    return [first, *(array for step in steps for array in step)], started


def marks(folder, what):
    return [path.name.split("-")[1] for path in folder.glob(f"{what}-*")]


@pytest.mark.parametrize(("processes", "expected"), [(1, 1), (2, 2), (3, 3), (5, 4), (7, 7), (99, 7)])
def test_the_number_of_processes_changes_no_result(processes, expected):
    """Of seven copies, five processes would hold two each: four are enough."""
    (found, started), (reference, _) = played("async", processes), played("sync", 0)
    assert started == expected
    for array, other in zip(found, reference, strict=True):
        assert array.shape[0] == COPIES
        np.testing.assert_array_equal(array, other)
    assert multiprocessing.active_children() == []


def test_no_process_a_copy_and_no_copy_too_many(tmp_path):
    with closing(ForeignVectorEnv(lambda: Counted(tmp_path), COPIES, "async", 3)) as envs:
        envs.set_tasks({"velocity": np.zeros(COPIES)})
        envs.reset(seed=range(COPIES))
        processes = envs.step(actions()[0])[1].astype(int)
    assert len(set(processes)) == 3
    here = str(os.getpid())
    assert sorted(marks(tmp_path, "built")) == sorted([here, *map(str, processes)])
    assert sorted(marks(tmp_path, "closed")) == sorted(marks(tmp_path, "built"))


def test_as_many_processes_as_cpus_by_default():
    _, started = played("async", 0)
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert started == len(range(0, COPIES, -(-COPIES // min(available, COPIES))))


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("stage", ["reset", "step"])
def test_an_exception_in_a_copy_is_told_with_its_message_place_and_task(mode, stage):
    envs = ForeignVectorEnv(Breaking, COPIES, mode, 3)
    envs.set_tasks({"velocity": np.array([0, 0, 0, 0, ["reset", "step"].index(stage) + 1, 0, 0.0])})
    if stage == "step":
        envs.reset(seed=range(COPIES))
    with pytest.raises(ForeignEnvError) as raised:
        envs.reset(seed=range(COPIES)) if stage == "reset" else envs.step(actions()[0])
    assert "LookupError: the drawer is empty (test_foreign_processes.py, line" in str(raised.value)
    assert f"with task {{'velocity': {['reset', 'step'].index(stage) + 1.0}}}" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert f"in {stage}\n" in str(raised.value.__cause__)
    assert multiprocessing.active_children() == []
    envs.close()


@pytest.mark.parametrize("when", ["before a step", "before a reset", "in a step"])
def test_a_killed_process_is_told_at_once_and_leaves_no_other(when):
    envs = ForeignVectorEnv(Drift, COPIES, "async", 3)
    envs.set_tasks({"velocity": np.zeros(COPIES)})
    envs.reset(seed=range(COPIES))
    victim = multiprocessing.active_children()[1]
    started = time.monotonic()
    if when == "in a step":
        os.kill(victim.pid, signal.SIGSTOP)
        threading.Timer(0.5, os.kill, (victim.pid, signal.SIGKILL)).start()
    else:
        os.kill(victim.pid, signal.SIGKILL)
    with pytest.raises(ForeignEnvError, match=r"expected 3 processes .* got number \d killed by SIGKILL; if"):
        envs.reset(seed=range(COPIES)) if when == "before a reset" else envs.step(actions()[0])
    assert time.monotonic() - started < 5
    assert multiprocessing.active_children() == []
    envs.close()


def test_a_process_that_ends_itself_is_told_with_its_exit_code():
    envs = ForeignVectorEnv(Breaking, COPIES, "async", 2)
    envs.set_tasks({"velocity": np.array([0, 0, 0, 0, 0, 0, 3.0])})
    envs.reset(seed=range(COPIES))
    with pytest.raises(ForeignEnvError, match="got number 1 ended with exit code 3"):
        envs.step(actions()[0])
    assert multiprocessing.active_children() == []


def test_ctrl_c_is_left_to_the_parent_and_a_termination_is_told():
    """Also where the parent takes SIGTERM for Ctrl-C, as training does."""
    handler = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        envs = ForeignVectorEnv(Drift, COPIES, "async", 2)
        envs.set_tasks({"velocity": np.zeros(COPIES)})
        envs.reset(seed=range(COPIES))
        for process in multiprocessing.active_children():
            os.kill(process.pid, signal.SIGINT)
        envs.step(actions()[0])
        os.kill(multiprocessing.active_children()[0].pid, signal.SIGTERM)
        with pytest.raises(ForeignEnvError, match="killed by SIGTERM"):
            envs.step(actions()[0])
    finally:
        signal.signal(signal.SIGTERM, handler)


@pytest.mark.parametrize("method", ["reset", "step"])
def test_a_process_that_hangs_is_told_and_killed(method):
    envs = ForeignVectorEnv(Hanging, COPIES, "async", 3, timeout_seconds=2)
    stages = np.zeros(COPIES)
    stages[4] = ["reset", "step"].index(method) + 1
    envs.set_tasks({"velocity": stages})
    message = rf"a {method} within 2 s \(timeout_seconds\), got no answer of 1, .* episodes 3 to 5"
    if method == "step":
        envs.reset(seed=range(COPIES))
    with pytest.raises(ForeignEnvError, match=message):
        envs.reset(seed=range(COPIES)) if method == "reset" else envs.step(actions()[0])
    assert multiprocessing.active_children() == []


class Endless(Drift):
    """Leaves a thread behind that no end of its process waits out."""

    def reset(self, **given):
        threading.Thread(target=time.sleep, args=(1000,)).start()
        return super().reset(**given)


@pytest.mark.timeout(30)
def test_a_process_that_does_not_end_is_told_and_killed():
    envs = ForeignVectorEnv(Endless, COPIES, "async", 1, timeout_seconds=1)
    envs.set_tasks({"velocity": np.zeros(COPIES)})
    envs.reset(seed=range(COPIES))
    with pytest.warns(UserWarning, match=r"within 1 s after their environments' close, killed 1 that"):
        envs.close()
    assert multiprocessing.active_children() == []
    envs.close()


class Locking(Drift):
    """Its step takes for ever, and never gives up Python's lock."""

    def step(self, action):
        re.match("(a+)+$", "a" * 60 + "b")


ORPHANS = """
import multiprocessing, os, signal, threading
import numpy as np
from tests.envs.test_foreign_processes import *

envs = ForeignVectorEnv(KIND, COPIES, "async", 3)
envs.set_tasks({"velocity": np.full(COPIES, 2.0)})
envs.reset(seed=range(COPIES))
print(*(process.pid for process in multiprocessing.active_children()), flush=True)
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGKILL)).start()
envs.step(actions()[0])
"""


@pytest.mark.parametrize("kind", ["Hanging", "Locking"])
def test_processes_end_with_their_parent_whatever_they_do(kind):
    command = [sys.executable, "-c", ORPHANS.replace("KIND", kind)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, timeout=60)
    pids = [int(word) for word in done.stdout.split()]
    assert len(pids) == 3
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_an_interrupted_step_leaves_no_process():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job starts without one
    envs = ForeignVectorEnv(Slow, COPIES, "async", 2)
    envs.set_tasks({"velocity": np.zeros(COPIES)})
    envs.reset(seed=range(COPIES))

    waiting = threading.main_thread().ident
    timer = threading.Timer(0.5, signal.pthread_kill, [waiting, signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        envs.step(actions()[0])
    envs.close()
    assert multiprocessing.active_children() == []
