"""Commands that are forked from a server end, speak and look around as those of fresh processes do."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.warm_commands import ROOT, WarmCommand, run_metarl, run_script, run_warm, start_metarl

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
        ("print(len(threading.enumerate()))", 0),
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


@pytest.fixture
def program(tmp_path):
    """(its lines) -> a file of it."""

    def write(*lines):
        path = tmp_path / "program.py"
        path.write_text("import os, signal, sys, time\n" + "\n".join(lines))
        return path

    return write


def is_there(pid):
    return os.path.exists(f"/proc/{pid}")


def wait_until_gone(pid):
    end = time.monotonic() + 30
    while is_there(pid):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_two_run_at_once_and_end_when_they_end(program):
    path = program("print(sys.stdin.read(), flush=True)", "time.sleep(float(sys.argv[1]))", "sys.exit(7)")
    with WarmCommand(path, 60, stdin="one") as one, WarmCommand(path, 0, stdin="other") as other:
        assert one.pid != other.pid
        assert (other.wait(30), other.stdout) == (7, "other\n")
        assert run_metarl("--help").returncode == 0
        one.wait_until(lambda: one.stdout == "one\n")
        assert one.poll() is None
        with pytest.raises(subprocess.TimeoutExpired, match=r"program\.py.* timed out after 0\.1 seconds"):
            one.wait(0.1)
    assert (one.returncode, other.returncode) == (-signal.SIGKILL, 7)
    assert not is_there(one.pid)


def test_a_killed_command_is_gone_and_writes_no_more(program):
    path = program("while True: print('line', flush=True); time.sleep(0.01)")
    with WarmCommand(path) as command:
        command.wait_until(lambda: command.stdout.count("line") > 3)
        os.kill(command.pid, signal.SIGKILL)
        assert command.wait(30) == command.poll() == -signal.SIGKILL
        assert not is_there(command.pid)
        command.send_signal(signal.SIGKILL)  # to nobody
        written = command.stdout
        time.sleep(0.1)
        assert command.stdout == written


def test_a_stopped_command_waits_and_goes_on(program):
    path = program("for number in range(10_000): print(number, flush=True); time.sleep(0.01)")
    with WarmCommand(path) as command:
        command.wait_until(lambda: "3\n" in command.stdout)
        command.send_signal(signal.SIGSTOP)
        while "T (stopped)" not in Path(f"/proc/{command.pid}/status").read_text():
            time.sleep(0.01)
        written = command.stdout
        assert run_metarl("--help").returncode == 0
        assert command.poll() is None
        assert command.stdout == written
        command.send_signal(signal.SIGCONT)
        command.wait_until(lambda: len(command.stdout) > len(written))
        command.send_signal(signal.SIGSTOP)
    assert command.returncode == -signal.SIGKILL


INTERRUPTIBLE = pytest.mark.skipif(
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN, reason="in the background interrupts are ignored"
)


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=INTERRUPTIBLE), signal.SIGTERM])
@pytest.mark.parametrize("name", ["program.py", "metarl"])
def test_a_signal_ends_it_as_a_fresh_process(tmp_path, number, name):
    """A command of the package has handlers of its own."""
    (tmp_path / name).write_text("import metarl.interrupts, time\nprint('on', flush=True)\ntime.sleep(60)\n")
    told = []
    with WarmCommand(tmp_path / name) as warm:
        warm.wait_until(lambda: "on" in warm.stdout)
        warm.send_signal(number)
        told.append((warm.wait(30), warm.stdout, warm.stderr))
    with subprocess.Popen(warm.args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as fresh:
        assert fresh.stdout.readline() == "on\n"
        fresh.send_signal(number)
        told.append((fresh.wait(30), "on\n", fresh.stderr.read()))
    (warmly, *said), (freshly, *expected) = told
    assert warmly == freshly == (130 if name == "metarl" else -number)
    assert [text.splitlines()[-1:] for text in said] == [text.splitlines()[-1:] for text in expected]


@INTERRUPTIBLE
def test_an_interrupt_that_comes_at_once_is_not_lost(program):
    for _ in range(5):
        with WarmCommand(program("time.sleep(60)")) as command:
            command.send_signal(signal.SIGINT)
            assert command.wait(30) == -signal.SIGINT


def test_an_interrupt_of_training_is_told_as_ever(small_config_file, tmp_path):
    with start_metarl("train", small_config_file, "--training.iterations", 1000, "--quiet") as command:
        progress = tmp_path / "run/progress.csv"
        command.wait_until(lambda: progress.exists() and progress.read_text().count("\n") > 3)
        command.send_signal(signal.SIGTERM)
        assert command.wait(60) == 130, command.stderr
        assert "Stopped" in command.stdout + command.stderr
        assert "Traceback" not in command.stderr


def test_one_that_ends_before_what_is_waited_for_is_told(program):
    with (
        WarmCommand(program("print('why', file=sys.stderr)", "sys.exit(3)")) as command,
        pytest.raises(RuntimeError, match="expected a command that runs, got exit code 3: why"),
    ):
        command.wait_until(lambda: False)


def test_variables_that_imports_have_read_are_refused():
    with pytest.raises(
        ValueError, match=r"expected variables that count while .*, got MUJOCO_GL; run a fresh"
    ):
        run_metarl("--help", env={"MUJOCO_GL": "osmesa"})


def test_the_server_and_its_commands_end_with_the_process_that_asks(tmp_path):
    """However that ends."""
    program = """
import os, signal
from tests.support.warm_commands import WarmCommand
running, stopped = WarmCommand("server.py"), WarmCommand("server.py")
running.wait_until(lambda: running.stdout)
stopped.send_signal(signal.SIGSTOP)
print(running.stdout, running.pid, stopped.pid, flush=True)
os._exit(0)
"""
    (tmp_path / "server.py").write_text("import os, time; print(os.getppid(), flush=True); time.sleep(600)")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    pids = [int(word) for word in done.stdout.split()]
    assert len(pids) == 3
    for pid in pids:
        wait_until_gone(pid)
