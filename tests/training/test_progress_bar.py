"""A bar on a terminal, plain lines elsewhere, nothing where quiet is asked for."""

import io
import signal
import sys

import pytest
import torch

from metarl.commands import adapt, evaluate, train
from metarl.training.progress_bar import Progress, track


class Terminal(io.StringIO):
    def isatty(self):
        return True


def run(monkeypatch, command, *words):
    monkeypatch.setattr(sys, "argv", [command.__name__, *map(str, words)])
    return command.main()


def advance(total, by, **options):
    with Progress(total, "step", title="a walk", **options) as progress:
        for done in range(0, total, by):
            progress.advance(by, f"at={done + by}")


def test_a_terminal_has_a_bar_alone(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    advance(30, 1, leave=True)
    assert "\r" in terminal.getvalue()
    assert "30/30" in terminal.getvalue()
    assert "a walk, step" not in terminal.getvalue()


def test_elsewhere_a_line_stands_at_every_tenth_of_the_way(capsys):
    advance(2000, 40)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "a walk, step 200 of 2,000, at=200"
    assert len(lines) == 10
    assert lines[-1] == "a walk, step 2,000 of 2,000, at=2000"
    advance(3, 1)
    assert len(capsys.readouterr().err.splitlines()) == 3
    advance(3, 1, lines=False)
    assert capsys.readouterr().err == ""


def test_what_was_done_before_counts(capsys):
    with Progress(10, "step", done=8) as progress:
        progress.advance()
    assert capsys.readouterr().err == "step 9 of 10\n"


@pytest.mark.parametrize("stderr", [io.StringIO(), Terminal()])
def test_quiet_is_quiet(monkeypatch, stderr):
    monkeypatch.setattr(sys, "stderr", stderr)
    advance(30, 1, quiet=True)
    assert stderr.getvalue() == ""


def test_items_are_counted_when_they_are_done(capsys):
    seen = [capsys.readouterr().err for _ in track("abc", 3, "item")]
    assert seen == ["", "item 1 of 3\n", "item 2 of 3\n"]


@pytest.fixture
def commands(small_config_file, tmp_path, monkeypatch, capsys):
    """(command, *words) -> what it prints on the standard output and error."""

    def call(command, *words):
        assert run(monkeypatch, command, *words) == 0
        found = capsys.readouterr()
        assert "\r" not in found.out + found.err
        return found

    handler, threads = signal.getsignal(signal.SIGTERM), torch.get_num_threads()
    yield call
    signal.signal(signal.SIGTERM, handler)
    torch.set_num_threads(threads)


def test_commands_print_lines_or_with_quiet_final_results_alone(commands, small_config_file, tmp_path):
    every = ("--training.table_every", 2)
    loud = commands(train, small_config_file, "--run_dir", tmp_path / "loud", *every)
    table = loud.out.partition("Return on")[0].splitlines()
    assert [line.split()[0] for line in table if line.strip()[:1].isdigit()] == ["0", "2", "3"]
    assert loud.err == ""
    quiet = commands(train, small_config_file, "--quiet")
    assert quiet.out.lstrip().startswith("Return on 2 held-out tasks")
    assert quiet.err == ""
    few = (tmp_path / "run", "--episodes", 2, "--steps", 1)
    for command, words, title in (
        (adapt, ("--task", '{"goal": [0.1, 0.2]}'), "step   return"),
        (evaluate, ("--tasks", 2), "inner steps   mean return"),
    ):
        shown = commands(command, *few, *words)
        assert shown.err == "rollout 1 of 2\nrollout 2 of 2\n"
        hidden = commands(command, *few, *words, "--quiet")
        assert hidden.err == ""
        assert title in hidden.out
