"""A stop at any moment, imports and ends included, is one line and loses nothing."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.interrupted_commands import interrupt

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'envs'}"}
STOPPED_WITHIN = """
import os, signal, sys
sys.argv, sys.orig_argv = ["-m"], [sys.executable, "-m", "metarl"]

class Stopper:
    def find_spec(self, name, *rest):
        if name == {module!r}:
            os.kill(os.getpid(), signal.{number})

sys.meta_path.insert(0, Stopper())
import metarl
sys.argv = ["metarl", *"{words}".split()]
from metarl.command import main
sys.exit(main())
"""


def ended(code, interrupts):
    """Exit code, errors and output of Python code that starts with such a treatment of SIGINT."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, interrupts),
    )
    return done.returncode, done.stderr, done.stdout


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("module", ["gymnasium", "metarl.runs.files", "metarl.command", "torch"])
def test_a_stop_while_a_module_is_imported_is_one_line(module, number):
    code = STOPPED_WITHIN.format(module=module, number=number, words="evaluate zoo/none")
    assert ended(code, signal.SIG_DFL) == (130, "\nStopped.\n", "")


def test_a_child_of_an_import_says_nothing_of_a_stop():
    """As GLFW's, which asks for its library's version."""
    child = "import time; print('began', flush=True); time.sleep(3); print(1, flush=True)"
    start = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {child!r}], stdout=subprocess.PIPE)
child.stdout.readline()
"""
    code = start + STOPPED_WITHIN.format(module="gymnasium", number="SIGTERM", words="zoo")
    assert ended(code, signal.SIG_DFL) == (130, "\nStopped.\n", "")


def test_a_package_that_is_imported_leaves_signals_to_its_user():
    code = "import signal, metarl\nprint(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    code += "\nprint(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)"
    assert ended(code, signal.SIG_DFL) == (0, "", "True\nTrue\n")


def test_a_command_in_the_background_ignores_what_its_shell_ignores():
    """As a shell starts it: SIGINT is ignored, and stays so."""
    code = STOPPED_WITHIN.format(module="gymnasium", number="SIGINT", words="zoo")
    code, told, _ = ended(code, signal.SIG_IGN)
    assert (code, told) == (0, "")


@pytest.mark.parametrize(
    "trials",
    [
        pytest.param(2, marks=pytest.mark.timeout(900)),
        pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(14_400)]),
    ],
)
def test_commands_are_stopped_at_random_moments(trials):
    assert interrupt(trials, 0).total() == trials
