import csv

import pytest
from stable_baselines3.common.logger import Logger

from metarl.errors import RunError
from metarl.meta_learners.learner import LearnerState
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.progress import ProgressCsv, read_progress
from metarl.training.console import ConsoleTable
from metarl.training.observers import Iteration
from metarl.training.recorders import CsvRecorder


def write(folder, iterations, start=0, extra=None):
    logger = Logger(str(folder), [ProgressCsv(folder / "progress.csv", start)])
    for iteration in iterations:
        logger.record("iteration", iteration)
        logger.record("value", iteration * 10)
        if extra is not None and iteration == extra:
            logger.record("seldom", "a, b")
        logger.dump(iteration)
    logger.close()


def rows(folder):
    with (folder / "progress.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_new_columns_keep_the_rows_before(tmp_path):
    write(tmp_path, range(4), extra=2)
    assert [row["iteration"] for row in rows(tmp_path)] == ["0", "1", "2", "3"]
    assert [row["seldom"] for row in rows(tmp_path)] == ["", "", "a, b", ""]


def test_a_resumed_file_keeps_earlier_rows_and_replaces_later_ones(tmp_path):
    write(tmp_path, range(5))
    write(tmp_path, range(3, 6), start=3)
    assert [row["value"] for row in rows(tmp_path)] == ["0", "10", "20", "30", "40", "50"]


def test_a_torn_last_row_is_dropped(tmp_path):
    """Also where what is left of "12" reads as an earlier iteration."""
    write(tmp_path, range(13))
    path = tmp_path / "progress.csv"
    path.write_text(path.read_text().removesuffix("2,120\n"))
    write(tmp_path, range(12, 14), start=12)
    assert [row["value"] for row in rows(tmp_path)] == [str(10 * i) for i in range(14)]


def test_doubled_and_disordered_rows_are_put_right(tmp_path):
    write(tmp_path, range(5))
    path = tmp_path / "progress.csv"
    title, *lines = path.read_text().splitlines()
    path.write_text("\n".join([title, *reversed(lines), lines[1], lines[1], ""]))
    write(tmp_path, range(5, 6), start=5)
    assert [row["value"] for row in rows(tmp_path)] == ["0", "10", "20", "30", "40", "50"]


@pytest.mark.parametrize("damage", ['"', "\0", "\x80", "two,three,four", "", "²,3", "9" * 5000 + ",1"])
@pytest.mark.parametrize("line", [0, 2])
def test_damaged_rows_are_told_and_kept_beside(tmp_path, damage, line):
    write(tmp_path, range(5))
    path = tmp_path / "progress.csv"
    lines = path.read_text().splitlines()
    lines[line] = damage
    path.write_bytes("\n".join([*lines, ""]).encode("latin-1"))
    before, left = path.read_bytes(), 0 if line == 0 else 4
    with pytest.warns(UserWarning, match=f"for each of 5 iterations, got {left} whole ones"):
        write(tmp_path, range(5, 6), start=5)
    kept = [0, 2, 3, 4] if line else []
    assert [row["value"] for row in rows(tmp_path)] == [str(10 * i) for i in (*kept, 5)]
    if line or damage:
        assert (tmp_path / "progress.csv.damaged").read_bytes() == before


def test_a_comparison_reads_rows_by_their_iteration(tmp_path):
    write(tmp_path, range(3))
    path = tmp_path / "progress.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], lines[1], lines[1], lines[2], lines[3], ""]))
    assert read_progress(tmp_path, 3, "value") == [0.0, 10.0, 20.0]
    for wrong in ("ten", "", "nan"):
        path.write_text("\n".join([*lines[:2], f"1,{wrong}", lines[3], ""]))
        with pytest.raises(RunError, match=r"expected a row with value for .* 3 .* of iteration 1 first"):
            read_progress(tmp_path, 3, "value")


def test_a_fresh_run_empties_the_file(tmp_path):
    write(tmp_path, range(3))
    write(tmp_path, range(1))
    assert len(rows(tmp_path)) == 1


def iteration(number, rejection=None, **metrics):
    before, after = (Checkpoint(LearnerState({}), n, 10 * n, None) for n in (number, number + 1))
    return Iteration({}, before, after, None, None, metrics, rejection)


def record(recorder, start, stop, **metrics):
    """What a recorder is called with by a run that starts, or is resumed, at an iteration."""
    recorder.on_start(Checkpoint(LearnerState({}), start, 10 * start, None))
    for number in range(start, stop):
        recorder.on_iteration(iteration(number, value=float(number + 100 * start), **metrics))
    recorder.on_end()


def test_progress_shows_a_resumed_run_once_and_why_a_step_was_rejected(tmp_path):
    record(CsvRecorder(tmp_path), 0, 5)
    recorder = CsvRecorder(tmp_path)
    record(recorder, 3, 6)
    recorder.on_iteration(iteration(6, rejection="no step improves", value=0.5))
    expected = ["0.0", "1.0", "2.0", "303.0", "304.0", "305.0", "0.5"]
    assert [row["value"] for row in rows(tmp_path)] == expected
    assert [row["update/rejection"] for row in rows(tmp_path)] == [""] * 6 + ["no step improves"]


@pytest.mark.parametrize(("every", "shown"), [(3, ["0", "3", "4"]), (2, ["0", "2", "4"])])
def test_the_table_shows_every_nth_iteration_and_the_last(every, shown):
    lines: list[str] = []
    table = ConsoleTable(lines.append, every)
    record(table, 0, 5, **{"rollout/return_after": -1.5})
    assert [line.split()[0] for line in lines] == ["iteration", *shown]
    assert "-1.50" in lines[1]
