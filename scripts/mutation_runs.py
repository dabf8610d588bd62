"""Runs tests against a changed source in forked children; nothing is written into the tree.

The parent has imported what is heavy, and none of what is mutated. A child imports the rest, the changed
source in its place, and ends at the first failure.
"""

from __future__ import annotations

import gc
import importlib
import os
import re
import shlex
import signal
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
import torch

HEAVY = [
    "torch._dynamo",  # by torch.optim
    "torch.distributed.tensor",  # by torch.testing
    "numpy",
    "gymnasium",
    "mujoco",
    "stable_baselines3",
    "jsonargparse",
    "yaml",
    "matplotlib.pyplot",
    "torch.utils.tensorboard",
    "safetensors.torch",
    "tqdm",
    "filelock",
]
PASSED = 0
_POLL_SECONDS = 0.02


class ChangedSource(SourceFileLoader):
    """Compiles another text than the file's."""

    def __init__(self, module: str, path: str, source: str) -> None:
        super().__init__(module, path)
        self._source = source

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = compile(self._source, self.path, "exec")
        return code


class ChangedModule(MetaPathFinder):
    """Finds one module, with another text; others are left to other finders."""

    def __init__(self, root: Path, path: str, source: str) -> None:
        self._loader = ChangedSource(path.removesuffix(".py").replace("/", "."), str(root / path), source)

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        loader = self._loader
        return (
            spec_from_file_location(fullname, loader.path, loader=loader) if fullname == loader.name else None
        )


@dataclass(frozen=True)
class Task:
    """What to run, and against what.

    Args:
        tests: each as pytest takes it: "tests/test_a.py -k name".
        seconds: after which the child is ended.
        change: a file below the root, and another text for it; None for none.
    """

    tests: Sequence[str]
    seconds: float
    change: tuple[str, str] | None = None


@dataclass(frozen=True)
class Outcome:
    """How a task ended: "passed", "failed" or "timed out"; after how long, and the first failure's name."""

    verdict: str
    seconds: float
    failure: str


def preload(root: Path, caches: Path) -> None:
    """Imports what children share, and has them keep compiled files in `caches`."""
    for name in HEAVY:
        importlib.import_module(name)
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.func.jvp(torch.vmap(torch.sin), (torch.ones(2),), (torch.ones(2),))  # torch compiles its rules
    sys.pycache_prefix = str(caches)
    sys.path[:0] = [str(root), str(root / "envs")]
    gc.collect()
    gc.freeze()


def run_all(root: Path, tasks: Sequence[Task], jobs: int, scratch: Path) -> Iterator[tuple[int, Outcome]]:
    """Runs the tasks, `jobs` at once, and gives every one's number and outcome as it ends."""
    waiting, running = list(range(len(tasks)))[::-1], dict[int, tuple[int, float]]()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                number = waiting.pop()
                running[_start(root, tasks[number], scratch / str(number))] = (number, time.monotonic())
            time.sleep(_POLL_SECONDS)
            for child, (number, started) in list(running.items()):
                seconds = time.monotonic() - started
                late = seconds > tasks[number].seconds
                if late:
                    os.killpg(child, signal.SIGKILL)
                ended, status = os.waitpid(child, 0 if late else os.WNOHANG)
                if ended:
                    del running[child]
                    yield number, _outcome(late, status, seconds, scratch / str(number))
    finally:
        for child in running:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _outcome(late: bool, status: int, seconds: float, folder: Path) -> Outcome:
    log = folder / "log"
    text = log.read_text(errors="replace") if log.exists() else ""
    failures = re.findall(r"^(?:FAILED|ERROR) (\S+)", text, re.MULTILINE)
    code = os.waitstatus_to_exitcode(status)
    verdict = "timed out" if late else "passed" if code == PASSED else "failed"
    return Outcome(verdict, seconds, failures[0] if failures else f"exit code {code}: {text[-300:].strip()}")


def _start(root: Path, task: Task, folder: Path) -> int:
    """Forks a child, the leader of a process group of its own; its number."""
    folder.mkdir()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        os.setpgid(child, child)
        return child
    code = 1
    try:
        os.setpgid(0, 0)
        code = _run(root, task, folder)
        sys.stdout.flush()
    finally:
        os._exit(code)


def _run(root: Path, task: Task, folder: Path) -> int:
    """In the child: the first exit code that is not 0, or 0."""
    os.chdir(root)
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    if task.change is not None:
        sys.meta_path.insert(0, ChangedModule(root, *task.change))
    options = ["-xq", "-p", "no:cacheprovider", "-m", "not slow or nightly", f"--basetemp={folder / 'tmp'}"]
    for tests in task.tests:
        code = int(pytest.main([*options, *shlex.split(tests)]))
        if code != PASSED:
            return code
    return PASSED
