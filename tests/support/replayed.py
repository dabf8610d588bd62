"""The rows to replay that a run folder holds."""

from __future__ import annotations

from pathlib import Path

from metarl.rollouts.replay import Replay
from metarl.rollouts.replay_shard import AnyReplay, ReplayShard
from metarl.runs.checkpoint import saved_rows


def whole_replay(run_dir: Path) -> Replay | None:
    """All rows of a run folder's checkpoint, whichever ranks learned from them."""
    saved, found = saved_rows(run_dir), None
    for piece in saved.pieces:
        if found is None:
            found = Replay({name: value[:0] for name, value in piece.items()}).after(saved.dropped)
        found = found.append(piece)
    return found


def without_rows(replay: AnyReplay) -> AnyReplay:
    """What a learner starts with that has such a replay."""
    empty = Replay({name: value[:0] for name, value in replay.latest.columns.items()})
    if isinstance(replay, Replay):
        return empty
    return ReplayShard.of(empty, replay.group, replay.rank, replay.ranks)


def restored(replay: AnyReplay, run_dir: Path) -> AnyReplay:
    """A replay of the same kind with the rows of a run folder's checkpoint."""
    saved = saved_rows(run_dir)
    found = without_rows(replay).after(saved.dropped)
    for piece in saved.pieces:
        found = found.append(piece).saved()
    return found
