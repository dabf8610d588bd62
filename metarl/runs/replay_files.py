"""The rows that a learner replays, in files of a run folder beside its checkpoint.

Rows are only added, and leave by whole files, so that a file that is full is never written again. The
checkpoint is written after them and says which rows are its own: a crash in between leaves more, which a
resume cuts. Files of rows that left are removed after it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

from metarl.errors import RunError
from metarl.rollouts.replay_shard import AnyReplay
from metarl.runs.files import REPLAY, replay_file, replay_files
from metarl.runs.tensor_files import read_tensors, write_tensors


def write_replay(run_dir: Path, replay: AnyReplay, kept: int, config_digest: str | None) -> None:
    """Writes the rows that are not kept yet, and those before them in the same file.

    Args:
        replay: the first rank's, where it is a shard.
        kept: rows that were ever added and that the files hold already.
        config_digest: of the run's config.
    """
    each, latest = replay.chunk, replay.latest
    (run_dir / REPLAY).mkdir(exist_ok=True)
    for first in range(max(kept // each * each, latest.dropped), latest.ever, each):
        rows = slice(first - latest.dropped, min(first + each, latest.ever) - latest.dropped)
        tensors = {name: latest.column(name)[rows] for name in latest.columns}
        write_tensors(replay_file(run_dir, first // each), tensors, _metadata(first, config_digest))


def remove_dropped(run_dir: Path, replay: AnyReplay) -> None:
    """Removes the files of rows that have left."""
    first = replay_file(run_dir, replay.dropped // replay.chunk)
    for path in replay_files(run_dir):
        if path.name < first.name:
            path.unlink()


def read_rows(
    run_dir: Path, rows: int, dropped: int, files: int, config_digest: str | None
) -> Iterator[dict[str, Tensor]]:
    """The checkpoint's rows, a file at a time, without those that came after it.

    Args:
        rows: that were ever added.
        dropped: of them, that have left.
        files: that they left with.

    Raises:
        RunError: a file is missing, damaged, cut or another run's.
    """
    found, number = dropped, files
    while found < rows:
        path = replay_file(run_dir, number)
        if not path.is_file():
            raise RunError(
                f"{run_dir / REPLAY}: expected {rows - dropped} rows to replay, found {found - dropped}: "
                f"{path.name} is missing, "
                "or the file before it is cut; put it back, or start a new run with --run_dir DIR"
            )
        tensors, metadata = read_tensors(path)
        if metadata != (expected := _metadata(found, config_digest)):
            raise RunError(
                f"{path}: expected rows of this run, {expected}, got {metadata}: put back the run's own file"
            )
        if not tensors or any(value.ndim == 0 for value in tensors.values()):
            raise RunError(f"{path}: expected rows of every column, found none: put back the run's own file")
        yield {name: value[: rows - found] for name, value in tensors.items()}
        found += len(next(iter(tensors.values())))
        number += 1


def _metadata(first: int, config_digest: str | None) -> dict[str, str]:
    return {"first_row": str(first), "config_digest": config_digest or ""}
