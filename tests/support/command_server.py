"""A process that has imported what commands need, and forks itself into each command that it is asked for.

Started by tests/support/warm_commands.py with the number of a socket. A request is a JSON message
beside the descriptors of stdin, stdout and stderr; the answers are the process id and, at the end, the
exit code.
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
import signal
import socket
import sys
import threading
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
    while True:
        message, descriptors, _, _ = socket.recv_fds(connection, 1 << 20, 3)
        if not message:
            os._exit(0)
        child = os.fork()
        if not child:
            connection.close()
            return json.loads(message), descriptors
        for descriptor in descriptors:
            os.close(descriptor)
        connection.send(b"%d" % child)
        connection.send(b"%d" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


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
    try:
        if words[0] == "-m":
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(words[0], run_name="__main__")
    except SystemExit as end:
        code = end.code
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    if not isinstance(code, int | None):
        print(code, file=sys.stderr)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code or 0


if __name__ == "__main__":
    given = search_path(os.environ)
    own = [path for path in sys.path[1:] if path not in given]
    preload()
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests and their command
    request, descriptors = serve(socket.socket(fileno=int(sys.argv[1])))
    become(request, descriptors, own)
    signal.signal(signal.SIGINT, interrupt)
    importlib.reload(sys.modules["metarl.interrupts"])  # which asks how the process was started
    os._exit(execute(request["words"]))  # to take half a thousand modules apart would take half a second
