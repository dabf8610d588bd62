"""Commands in processes of their own that need not import PyTorch again.

Each is forked from a server that has imported it (tests/support/command_server.py), and finds nothing that
another one left. Any number run at once, and signals reach them as they would a fresh process; what is tested
of starting itself starts one.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO, Any, Self

ROOT = Path(__file__).parents[2]
_AT_IMPORT = ("DISPLAY", "LC_", "LANG", "MKL_", "MPL", "MUJOCO_", "OMP_", "OPENBLAS_", "PYOPENGL_", "PYTHON")
"""How variables begin that count while modules are imported."""
_LOCK = threading.Lock()


class WarmCommand:
    """`python WORDS` in the manner of `subprocess.Popen`; at the end of its block it is killed.

    A session's hash seed is the same for all commands.

    Args:
        words: A script and its words, or -m, a module and its words.
        env: Variables that differ from this process's.
        stdout: A descriptor to write to; else what is written is kept.

    Attributes:
        returncode: Once it was seen that the command has ended, its exit code; negative after a signal.

    Raises:
        ValueError: a variable differs that the server's imports have read.
    """

    def __init__(
        self,
        *words: object,
        cwd: Path | str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
        stdout: int | None = None,
    ) -> None:
        command, environment = [*map(str, words)], {**os.environ, **(env or {})}
        self.args, self.returncode = [sys.executable, *command], None
        with _LOCK:
            server, first = _server()
        late = sorted(
            name for name, value in {*first.items()} ^ {*environment.items()} if _counts_at_import(name)
        )
        if late:
            raise ValueError(
                f"expected variables that count while a command runs, got {late[0]}; run a fresh process"
            )
        request = {"words": command, "cwd": os.path.abspath(cwd or os.getcwd()), "env": environment}
        with ExitStack() as files:
            self._answers, theirs = map(files.enter_context, socket.socketpair(type=socket.SOCK_SEQPACKET))
            self._out = files.enter_context(tempfile.TemporaryFile())
            self._err = files.enter_context(tempfile.TemporaryFile())
            given = files.enter_context(tempfile.TemporaryFile())
            given.write(stdin.encode())
            given.seek(0)
            out = self._out.fileno() if stdout is None else stdout
            streams = [given.fileno(), out, self._err.fileno(), theirs.fileno()]
            socket.send_fds(server, [json.dumps(request).encode()], streams)
            theirs.close()
            self.pid = self._answer()
            self._files = files.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.send_signal(signal.SIGKILL)
        self.wait()
        self._files.close()

    @property
    def stdout(self) -> str:
        """What it has written so far; to be read within its block."""
        return _text(self._out)

    @property
    def stderr(self) -> str:
        return _text(self._err)

    def poll(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            self._answers.settimeout(timeout)
            try:
                self.returncode = self._answer()
            except (TimeoutError, BlockingIOError) as error:
                raise subprocess.TimeoutExpired(self.args, timeout or 0) from error
        return self.returncode

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Returns while the command runs, as soon as the condition holds.

        Raises:
            RuntimeError: the command has ended before.
        """
        while not condition():
            if self.poll() is not None:
                raise RuntimeError(
                    f"expected a command that runs, got exit code {self.returncode}: {self.stderr}"
                )
            time.sleep(0.02)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def _answer(self) -> int:
        answer = self._answers.recv(64)
        if not answer:
            raise RuntimeError(
                "expected the server of commands to answer, but it has ended; its stderr says why"
            )
        return int(answer)


def start_script(name: str, *words: object, **how: Any) -> WarmCommand:
    """`python scripts/NAME.py WORDS`, as `WarmCommand`."""
    return WarmCommand(ROOT / "scripts" / f"{name}.py", *words, **how)


def start_metarl(*words: object, **how: Any) -> WarmCommand:
    """`python -m metarl WORDS`, as `WarmCommand`."""
    return WarmCommand("-m", "metarl", *words, **how)


@contextmanager
def start_ranks(number: int, *words: object) -> Iterator[list[WarmCommand]]:
    """`python -m metarl WORDS` as so many ranks of one training; nobody watches them, as torchrun would."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(number)}
    with ExitStack() as running:
        yield [
            running.enter_context(start_metarl(*words, env={**shared, "RANK": str(rank)}))
            for rank in range(number)
        ]


def run_script(name: str, *words: object, **how: Any) -> subprocess.CompletedProcess[str]:
    """`python scripts/NAME.py WORDS`, as `run_warm`."""
    return run_warm(ROOT / "scripts" / f"{name}.py", *words, **how)


def run_metarl(*words: object, **how: Any) -> subprocess.CompletedProcess[str]:
    """`python -m metarl WORDS`, as `run_warm`."""
    return run_warm("-m", "metarl", *words, **how)


def run_warm(*words: object, timeout: float | None = None, **how: Any) -> subprocess.CompletedProcess[str]:
    """`python WORDS`, as `subprocess.run` does it.

    Args:
        words: A script and its words, or -m, a module and its words.
        timeout: Seconds until the command is killed.
        how: What `WarmCommand` takes.

    Returns:
        Once the command has ended: its exit code, negative after a signal, and all that it and its children
        had written to stdout and stderr by then.

    Raises:
        subprocess.TimeoutExpired: the command took longer.
        ValueError: as `WarmCommand`.
    """
    with WarmCommand(*words, **how) as command:
        code = command.wait(timeout)
        return subprocess.CompletedProcess(command.args, code, command.stdout, command.stderr)


def _counts_at_import(name: str) -> bool:
    return name.startswith(_AT_IMPORT) and name != "PYTHONPATH"


def _text(file: IO[bytes]) -> str:
    """Of a file whose place belongs to the process that writes it."""
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode()


@cache
def _server() -> tuple[socket.socket, dict[str, str]]:
    """The one server of this process, which ends with it, and the environment that it was started in."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    program, environment = Path(__file__).with_name("command_server.py"), dict(os.environ)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, str(program), str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours, environment
