"""The rows that a learner replays, in files of a run folder beside its checkpoint.

Rows are only ever added, so a file that is full is never written again. The checkpoint is written after them
and says how many rows are its own: a crash in between leaves more, which a resume cuts.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from metarl.errors import RunError
from metarl.rollouts.replay import Replay
from metarl.runs.files import REPLAY, replay_file
from metarl.runs.tensor_files import read_tensors, write_tensors

CHUNK_BYTES = 8 * 2**20
"""Of the rows in a file, about."""


def write_replay(run_dir: Path, replay: Replay, kept: int, config_digest: str | None) -> None:
    """Writes the rows that are not kept yet, and those before them in the same file.

    Args:
        kept: rows that the files hold already.
        config_digest: of the run's config.
    """
    each = max(1, CHUNK_BYTES // replay.row_bytes)
    (run_dir / REPLAY).mkdir(exist_ok=True)
    for first in range(kept // each * each, replay.length, each):
        rows = slice(first, min(first + each, replay.length))
        tensors = {name: replay.column(name)[rows] for name in replay.columns}
        write_tensors(replay_file(run_dir, first // each), tensors, _metadata(first, config_digest))


def read_replay(run_dir: Path, rows: int, config_digest: str | None) -> Replay:
    """The first rows in the files, without those that came after the checkpoint.

    Args:
        rows: that the checkpoint says.

    Raises:
        RunError: a file is missing, damaged, cut or another run's.
    """
    pieces: list[Mapping[str, Tensor]] = []
    found = 0
    while found < rows:
        path = replay_file(run_dir, len(pieces))
        if not path.is_file():
            raise RunError(
                f"{run_dir / REPLAY}: expected {rows} rows to replay, found {found}: {path.name} is missing, "
                "or the file before it is cut; put it back, or start a new run with --run_dir DIR"
            )
        tensors, metadata = read_tensors(path)
        if metadata != (expected := _metadata(found, config_digest)):
            raise RunError(
                f"{path}: expected rows of this run, {expected}, got {metadata}: put back the run's own file"
            )
        pieces.append(tensors)
        found += len(next(iter(tensors.values())))
    return Replay({name: torch.cat([piece[name] for piece in pieces]) for name in pieces[0]}, rows)


def _metadata(first: int, config_digest: str | None) -> dict[str, str]:
    return {"first_row": str(first), "config_digest": config_digest or ""}
