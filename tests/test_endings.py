"""Whatever ends a command is told in one line, and what was saved before is kept."""

import os
import resource

import pytest
import torch

from metarl.command import run
from metarl.commands import zoo
from metarl.runs.checkpoint import load_checkpoint
from tests.support.warm_commands import run_metarl, start_metarl

KEPT = "what was saved before is kept"


@pytest.fixture
def ended(monkeypatch, capsys):
    """(what the command raises) -> its exit code and its lines of errors."""

    def ended(error):
        def main():
            raise error

        monkeypatch.setattr(zoo, "main", main)
        code = run("zoo")
        return code, capsys.readouterr().err.split("\n")[:-1]

    return ended


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 7.28 TiB"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to\nallocate 20.00 GiB"),
        RuntimeError(
            "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
        ),
    ],
)
def test_memory_that_is_spent_says_what_to_lower(ended, error):
    code, (line,) = ended(error)
    assert code == 2
    assert line.startswith("error: expected enough memory, got ")
    assert line.endswith(
        f"; lower sampling.tasks, sampling.episodes, training.tasks_at_once or the policy's sizes; {KEPT}"
    )


def test_an_error_of_the_programs_own_keeps_its_traceback(ended):
    with pytest.raises(RuntimeError, match="shapes"):
        ended(RuntimeError("shapes do not fit"))


def test_a_stop_while_modules_are_imported_is_no_traceback(ended):
    code, lines = ended(KeyboardInterrupt())
    assert (code, lines) == (130, ["", "Stopped."])


def test_a_full_disk_is_one_line_and_training_goes_on_once_there_is_room(small_config_file, tmp_path):
    """A limit on the size of files stands for the disk."""
    words = ["train", str(small_config_file), "--quiet", "--training.iterations", "60"]
    with start_metarl(*words) as full:
        resource.prlimit(full.pid, resource.RLIMIT_FSIZE, (24_000, 24_000))
        assert full.wait() == 2, full.stderr
        (line,) = full.stderr.splitlines()
    assert line.startswith("error: expected files to read and write, got ")
    done = load_checkpoint(tmp_path / "run").iteration
    assert 0 < done < 60
    going_on = run_metarl(*words, "--resume", "true", "--training.iterations", done + 1)
    assert going_on.returncode == 0, going_on.stderr
    assert load_checkpoint(tmp_path / "run").iteration == done + 1


def test_nobody_who_reads_is_no_traceback():
    reader, writer = os.pipe()
    os.close(reader)
    done = run_metarl("zoo", stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")
