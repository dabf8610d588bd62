"""Commands that are forked from a server end, speak and look around as those of fresh processes do."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.support.warm_commands import ROOT, run_metarl, run_script, run_warm

PROGRAM = """
import atexit, json, os, signal, subprocess, sys, threading, time, warnings
import metarl.interrupts
atexit.register(print, "at the end")
{}
"""


@pytest.fixture
def both(tmp_path):
    """(program, words, what `run_warm` takes) -> what the program came to, warm and fresh."""

    def run(program, *words, stdin="", env=None, cwd=None):
        path = tmp_path / "program.py"
        path.write_text(PROGRAM.format(program))
        warm = run_warm(path, *words, stdin=stdin, env=env, cwd=cwd)
        fresh = subprocess.run(
            [sys.executable, str(path), *words],
            input=stdin,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            capture_output=True,
            text=True,
        )
        return warm, fresh

    return run


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("print('done')", 0),
        ("sys.exit(3)", 3),
        ("sys.exit(-1)", 255),
        ("sys.exit()", 0),
        ("sys.exit('this is why')", 1),
        ("print('lost'); os._exit(4)", 4),
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
        ("os.abort()", -signal.SIGABRT),
        ("print('of C', flush=True); os.write(1, b'a'); os.write(2, b'b'); print('c')", 0),
        ("subprocess.run(['sh', '-c', 'echo child; echo told >&2'])", 0),
        ("print(sys.stdin.read(), sys.stdin.isatty(), sys.stdout.isatty(), sys.stdout.line_buffering)", 0),
        ("threading.Thread(target=lambda: (time.sleep(0.2), print('of a thread'))).start()", 0),
        ("print(len(threading.enumerate()), signal.getsignal(signal.SIGINT).__name__)", 0),
        ("warnings.warn('told once'); print(warnings.filters[0][0])", 0),
        ("print(__name__, __file__, sys.argv, sys.orig_argv, sys.modules['__main__'].__file__)", 0),
    ],
)
def test_it_ends_and_speaks_as_a_fresh_process(both, program, code):
    warm, fresh = both(program, "a word", "--and=another", stdin="given\nlines")
    assert vars(warm) == vars(fresh)
    assert warm.returncode == code


def test_an_exception_is_told_with_its_traceback(both):
    for done in both("print('before'); {}['key']"):
        assert (done.returncode, done.stdout) == (1, "before\nat the end\n")
        assert done.stderr.startswith("Traceback (most recent call last):\n")
        assert done.stderr.endswith("KeyError: 'key'\n")


def test_it_is_where_and_in_what_it_was_told(both, tmp_path, monkeypatch):
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside/lying_there.py").write_text("print('imported')")
    monkeypatch.setenv("HERE", "and now")
    monkeypatch.delenv("HOME")
    program = "print(os.getcwd(), {**os.environ} | {'LC_CTYPE': ''}, sys.path); import lying_there"
    path = os.pathsep.join([str(tmp_path / "beside"), os.environ.get("PYTHONPATH", "")])
    warm, fresh = both(program, env={"PYTHONPATH": path, "THERE": "too"}, cwd=tmp_path / "beside")
    assert vars(warm) == vars(fresh)
    assert warm.stdout.splitlines()[-2:] == ["imported", "at the end"]


def test_the_package_knows_that_it_was_started_as_a_command(both, tmp_path):
    """So that an interrupt ends it in one line."""
    for done in both("print(metarl.interrupts.COMMAND)"):
        assert done.stdout.startswith("False\n")
    (tmp_path / "metarl").write_text("import metarl.interrupts\nprint(metarl.interrupts.COMMAND)")
    assert run_warm(tmp_path / "metarl").stdout == "True\n"


def test_it_is_the_console_command_and_the_scripts():
    for words in ([], ["walk"], ["train", "nothing"]):
        fresh = subprocess.run([sys.executable, "-m", "metarl", *words], capture_output=True, text=True)
        assert vars(run_metarl(*words)) == vars(fresh)
    told = run_script("train", "--config", "nothing.yaml")
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.startswith("error: expected a config file, got nothing.yaml")


def test_a_command_leaves_nothing_for_the_next(both, tmp_path):
    look = """
import random, numpy, torch
print(json.dumps([
    os.getcwd(), len(os.environ), sys.path, torch.get_num_threads(), str(torch.get_default_dtype()),
    "left" in sys.modules, hasattr(metarl, "left"), len(os.listdir("/proc/self/fd")),
    len(os.listdir("/proc/self/task")), signal.getsignal(signal.SIGTERM), len(warnings.filters),
]))
print(random.random(), numpy.random.rand(), torch.rand(1).item())
"""
    change = """
import torch
os.chdir("/"); os.environ["LEFT"] = "1"; sys.path.insert(0, "left"); torch.set_num_threads(3)
torch.set_default_dtype(torch.float64); sys.modules["left"] = metarl; metarl.left = 1; torch.manual_seed(9)
os.open("/dev/null", 0); threading.Thread(target=time.sleep, args=(9,), daemon=True).start()
signal.signal(signal.SIGTERM, signal.SIG_IGN); warnings.simplefilter("error")
torch.rand(100, 100) @ torch.rand(100, 100); os.kill(os.getpid(), signal.SIGKILL)
"""
    before, fresh = (done.stdout.splitlines() for done in both(look))
    assert both(change)[0].returncode == -signal.SIGKILL
    after = both(look)[0].stdout.splitlines()
    assert before[0] == after[0]
    assert json.loads(after[0])[:-1] == json.loads(fresh[0])[:-1]  # but for filters that more imports brought
    assert (
        len({*before[1].split(), *after[1].split(), *fresh[1].split()}) == 9
    )  # nobody's random numbers repeat


def test_a_command_that_takes_too_long_is_killed(tmp_path):
    program = f"import os, time; open({str(tmp_path / 'id')!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    (tmp_path / "slow.py").write_text(program)
    start = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired, match=r"slow\.py.* timed out after 1 seconds"):
        run_warm(tmp_path / "slow.py", timeout=1)
    assert time.monotonic() - start < 30
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "id").read_text()), 0)
    assert run_metarl("--help").returncode == 0


def test_variables_that_imports_have_read_are_refused():
    with pytest.raises(
        ValueError, match=r"expected variables that count while .*, got MUJOCO_GL; run a fresh"
    ):
        run_metarl("--help", env={"MUJOCO_GL": "osmesa"})


def test_the_server_ends_with_the_process_that_asks(tmp_path):
    """However that ends."""
    program = """
import os
from tests.support.warm_commands import run_warm
print(run_warm("server.py").stdout, flush=True)
os._exit(0)
"""
    (tmp_path / "server.py").write_text("import os; print(os.getppid())")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    server, end = int(done.stdout), time.monotonic() + 30
    while os.path.exists(f"/proc/{server}"):
        assert time.monotonic() < end
        time.sleep(0.1)
