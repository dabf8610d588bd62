"""A process that has imported what commands need, and forks itself into each command that it is asked for.

Started by tests/support/warm_commands.py with the number of a socket. A request is a JSON message
beside the descriptors of stdin, stdout, stderr and a socket, where the answers go: the process id and, at
the end, the exit code. Any number of commands run at once; whatever still does is killed with the server.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import multiprocessing.process
import os
import pkgutil
import runpy
import select
import signal
import socket
import sys
import threading
from contextlib import suppress
from typing import Any

COMMANDS = "metarl.commands"
LATE = (
    "PIL.GifImagePlugin",
    "PIL.JpegImagePlugin",
    "imageio.v2",
    "matplotlib.backends.backend_agg",
    "metarl.command",
    "rich._emoji_codes",
    "torch._dynamo",
    "torch._inductor.decomposition",
    "torch.utils.tensorboard",
)
"""What commands import while they run; no module that asks the machine for a display."""


def preload() -> None:
    """Imports without computing anything: a thread pool would not survive the fork."""
    for module in pkgutil.iter_modules(importlib.import_module(COMMANDS).__path__):
        importlib.import_module(f"{COMMANDS}.{module.name}")
    for name in LATE:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


def serve(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Returns in forked processes alone, with what they are to become; the server ends with who asks."""
    running: dict[int, tuple[int, socket.socket]] = {}  # by a descriptor that is ready once a command ended
    while True:
        for ready in select.select([connection.fileno(), *running], [], [])[0]:
            if ready in running:
                tell_the_end(ready, *running.pop(ready))
                continue
            message, descriptors, _, _ = socket.recv_fds(connection, 1 << 20, 4)
            if not message:
                for child, _ in running.values():
                    os.kill(child, signal.SIGKILL)
                os._exit(0)
            asking, child = socket.socket(fileno=descriptors.pop()), os.fork()
            if not child:
                for other, (_, socket_of_other) in running.items():
                    os.close(other)
                    socket_of_other.close()
                asking.close()
                connection.close()
                return json.loads(message), descriptors
            for descriptor in descriptors:
                os.close(descriptor)
            running[os.pidfd_open(child)] = child, asking
            with suppress(OSError):  # nobody waits any more
                asking.send(b"%d" % child)


def tell_the_end(ready: int, child: int, asking: socket.socket) -> None:
    os.close(ready)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with asking, suppress(OSError):
        asking.send(b"%d" % code)


def become(request: dict[str, Any], descriptors: list[int], own: list[str]) -> None:
    """Makes this process what the interpreter of a fresh one is at its start.

    Args:
        request: `words` after the interpreter's name, `cwd` and `env`, the whole environment.
        own: Where this Python looks for modules, whoever starts it.
    """
    for place, descriptor in enumerate(descriptors):
        os.dup2(descriptor, place)
        os.close(descriptor)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    multiprocessing.process.ORIGINAL_DIR = request["cwd"]
    words = request["words"]
    first = request["cwd"] if words[0] == "-m" else os.path.dirname(os.path.realpath(words[0]))
    sys.path[:] = [first, *search_path(request["env"]), *own]
    sys.path_importer_cache.clear()
    sys.argv = ["-m", *words[2:]] if words[0] == "-m" else words
    sys.orig_argv = [sys.executable, *words]
    sys.modules["numpy"].random.seed()  # Python's own generator does so by itself
    sys.modules["torch"].default_generator.seed()


def search_path(environment: Any) -> list[str]:
    """The folders of PYTHONPATH."""
    return [os.path.abspath(path) for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]


def execute(words: list[str]) -> int:
    """Runs what the words name as the interpreter would, its threads and `atexit` too; the exit code."""
    code: object = None
    interrupted = False
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        if words[0] == "-m":
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(words[0], run_name="__main__")
    except SystemExit as end:
        code = end.code
    except BaseException as error:
        interrupted = isinstance(error, KeyboardInterrupt)
        sys.excepthook(type(error), error, error.__traceback__)
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    if not isinstance(code, int | None):
        print(code, file=sys.stderr)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    if interrupted:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    return code or 0


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # Ctrl-C is for the tests and their commands
    given = search_path(os.environ)
    own = [path for path in sys.path[1:] if path not in given]
    preload()
    request, descriptors = serve(socket.socket(fileno=int(sys.argv[1])))
    become(request, descriptors, own)
    importlib.reload(sys.modules["metarl.interrupts"])  # which asks how the process was started
    os._exit(execute(request["words"]))  # to take half a thousand modules apart would take half a second
