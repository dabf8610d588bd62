"""Commands in processes of their own that need not import PyTorch again.

Each is forked from a server that has imported it (tests/support/command_server.py), and finds nothing that
another one left. What is tested of starting itself, and what is to be killed, starts a fresh process.
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
from collections.abc import Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
_AT_IMPORT = ("DISPLAY", "LC_", "LANG", "MKL_", "MPL", "MUJOCO_", "OMP_", "OPENBLAS_", "PYOPENGL_", "PYTHON")
"""How variables begin that count while modules are imported."""
_LOCK = threading.Lock()


def run_script(name: str, *words: object, **how: object) -> subprocess.CompletedProcess[str]:
    """`python scripts/NAME.py WORDS`, as `run_warm`."""
    return run_warm(ROOT / "scripts" / f"{name}.py", *words, **how)


def run_metarl(*words: object, **how: object) -> subprocess.CompletedProcess[str]:
    """`python -m metarl WORDS`, as `run_warm`."""
    return run_warm("-m", "metarl", *words, **how)


def run_warm(
    *words: object,
    cwd: Path | str | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    timeout: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """`python WORDS`, as `subprocess.run` does it; a session's hash seed is the same for all commands.

    Args:
        words: A script and its words, or -m, a module and its words.
        env: Variables that differ from this process's.
        timeout: Seconds until the command is killed.

    Returns:
        Once the command has ended: its exit code, negative after a signal, and all that it and its children
        had written to stdout and stderr by then.

    Raises:
        subprocess.TimeoutExpired: the command took longer.
        ValueError: a variable differs that the server's imports have read.
    """
    command, environment = [*map(str, words)], {**os.environ, **(env or {})}
    server, first = _server()
    late = sorted(
        name for name, value in {*first.items()} ^ {*environment.items()} if _counts_at_import(name)
    )
    if late:
        raise ValueError(
            f"expected variables that count while a command runs, got {late[0]}; run a fresh process"
        )
    request = {"words": command, "cwd": os.path.abspath(cwd or os.getcwd()), "env": environment}
    with (
        _LOCK,
        tempfile.TemporaryFile() as given,
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
    ):
        given.write(stdin.encode())
        given.seek(0)
        streams = [file.fileno() for file in (given, out, err)]
        socket.send_fds(server, [json.dumps(request).encode()], streams)
        code = _wait(server, [sys.executable, *command], timeout)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
    return subprocess.CompletedProcess([sys.executable, *command], code, *texts)


def _counts_at_import(name: str) -> bool:
    return name.startswith(_AT_IMPORT) and name != "PYTHONPATH"


def _wait(server: socket.socket, command: list[str], timeout: float | None) -> int:
    child = int(_answer(server))
    try:
        server.settimeout(timeout)
        return int(_answer(server))
    except BaseException as error:
        os.kill(child, signal.SIGKILL)
        server.settimeout(None)
        _answer(server)
        if isinstance(error, TimeoutError):
            raise subprocess.TimeoutExpired(command, timeout or 0) from error
        raise
    finally:
        server.settimeout(None)


def _answer(server: socket.socket) -> bytes:
    answer = server.recv(64)
    if not answer:
        raise RuntimeError("expected the server of commands to answer, but it has ended; its stderr says why")
    return answer


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
