"""Checkpoints, and the policies that a run keeps: files tied to the config beside them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from metarl.errors import RunError
from metarl.math.parameters import Parameters
from metarl.meta_learners.learner import LearnerState, named_tensors
from metarl.runs.description import PolicyDescription
from metarl.runs.files import CHECKPOINT, CONFIG, POLICY, snapshot_file, snapshot_files
from metarl.runs.policy_file import PolicyFile, metadata_of, read_policy, ties_of, write_policy
from metarl.runs.replay_files import read_rows, remove_dropped, write_replay
from metarl.runs.run_config import config_digest, config_digests
from metarl.runs.tensor_files import in_order, read_metadata, read_tensors, write_tensors

_REPLAY_ROWS, _REPLAY_DROPPED, _REPLAY_FILES = "replay_rows", "replay_dropped_rows", "replay_dropped_files"


@dataclass(frozen=True)
class Checkpoint:
    """Everything an exact resume needs; all randomness follows from the seed and the iteration.

    Args:
        state: the learner's.
        iteration: iterations done.
        environment_steps: steps taken in them.
        config_digest: of the run's config; None of files of version 0.1.0, which do not say.
        description: of its policy; None of files before version 0.2.0.
    """

    state: LearnerState
    iteration: int
    environment_steps: int
    config_digest: str | None
    description: PolicyDescription | None = None


def save_checkpoint(run_dir: Path, checkpoint: Checkpoint) -> Checkpoint:
    """Writes rows to replay, the checkpoint, its policy; a crash leaves the old or the new file of each.

    Returns:
        The checkpoint, whose rows of other ranks need not be held any more.
    """
    state = checkpoint.state
    if state.replay is not None:
        kept = _count(run_dir / CHECKPOINT, read_metadata(run_dir / CHECKPOINT), _REPLAY_ROWS)
        write_replay(run_dir, state.replay, kept, checkpoint.config_digest)
    write_checkpoint(run_dir / CHECKPOINT, checkpoint)
    if state.replay is not None:
        remove_dropped(run_dir, state.replay)
    save_policy(run_dir, state.parameters, checkpoint.config_digest, checkpoint.description)
    if state.replay is None:
        return checkpoint
    return replace(checkpoint, state=replace(state, replay=state.replay.saved()))


def save_snapshot(run_dir: Path, checkpoint: Checkpoint) -> None:
    """Keeps the policy of an iteration beside the last one: the checkpoint without its optimiser."""
    path = snapshot_file(run_dir, checkpoint.iteration)
    path.parent.mkdir(exist_ok=True)
    write_checkpoint(path, replace(checkpoint, state=LearnerState(checkpoint.state.parameters)))


def load_checkpoint(run_dir: Path) -> Checkpoint:
    """Reads the checkpoint of a run folder; its optimiser's tensors are by name, in no learner's own form.

    Without rows to replay, which learning alone goes on from: `saved_rows` has them.

    Raises:
        RunError: there is none, it is not a whole checkpoint, or not that of the config beside it.

    Warns:
        UserWarning: it is of version 0.1.0, which ties no file to its config.
    """
    found = _read_checkpoint(run_dir / CHECKPOINT)
    _check_tied(run_dir, {run_dir / CHECKPOINT: found.config_digest})
    return found


@dataclass(frozen=True)
class SavedRows:
    """The rows to replay of a checkpoint.

    Args:
        dropped: rows before them, which have left.
        pieces: of their columns, in their order, a file's at a time. Raises RunError where a file is missing,
            damaged or another run's.
    """

    dropped: int
    pieces: Iterator[dict[str, Tensor]]


def saved_rows(run_dir: Path) -> SavedRows:
    """The rows to replay of a run folder's checkpoint; none where there is no checkpoint.

    Raises:
        RunError: the checkpoint does not say how many.
    """
    path = run_dir / CHECKPOINT
    metadata = read_metadata(path)
    rows, dropped, files = (
        _count(path, metadata, name) for name in (_REPLAY_ROWS, _REPLAY_DROPPED, _REPLAY_FILES)
    )
    return SavedRows(dropped, read_rows(run_dir, rows, dropped, files, ties_of(path, metadata)[0]))


def load_snapshots(run_dir: Path) -> list[Checkpoint]:
    """Reads the policies that were kept in training, in their order; without their optimisers.

    Raises:
        RunError: a file is not a whole snapshot, or not that of the config beside it.
    """
    found = {path: _read_checkpoint(path) for path in snapshot_files(run_dir)}
    _check_tied(run_dir, {path: one.config_digest for path, one in found.items()})
    return list(found.values())


def save_policy(
    run_dir: Path,
    parameters: Parameters,
    config_digest: str | None,
    description: PolicyDescription | None = None,
) -> None:
    """Writes the policy of a folder, tied to the config of that digest."""
    write_policy(run_dir / POLICY, PolicyFile(parameters, config_digest, description))


def load_policy(run_dir: Path) -> PolicyFile:
    """Reads the policy of a folder. Warns as `load_checkpoint` does.

    Raises:
        RunError: the file is missing, foreign or damaged, or not that of the config beside it.
    """
    path = run_dir / POLICY
    found = read_policy(path)
    if found.description is None or found.description.kind == "run" or found.config_digest is not None:
        _check_tied(run_dir, {path: found.config_digest})
    return found


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Writes the checkpoint alone, in one step: neither rows to replay nor a policy."""
    state = checkpoint.state
    tensors = {f"parameters/{name}": value for name, value in state.parameters.items()}
    tensors |= {f"optimiser/{name}": value for name, value in named_tensors(state.optimiser).items()}
    counters = {
        "iteration": str(checkpoint.iteration),
        "environment_steps": str(checkpoint.environment_steps),
    }
    if state.replay is not None:
        dropped = state.replay.dropped
        counters[_REPLAY_ROWS] = str(state.replay.ever)
        if dropped:
            files = str(dropped // state.replay.chunk)
            counters |= {_REPLAY_DROPPED: str(dropped), _REPLAY_FILES: files}
    ties = metadata_of(state.parameters, checkpoint.config_digest, checkpoint.description)
    write_tensors(path, tensors, {**counters, **ties})


def _read_checkpoint(path: Path) -> Checkpoint:
    tensors, metadata = read_tensors(path)
    try:
        parameters = in_order(tensors, metadata, "parameters/")
        counters = int(metadata["iteration"]), int(metadata["environment_steps"])
    except (KeyError, ValueError) as error:
        raise RunError(f"{path}: expected a metarl checkpoint, found no {error}") from error
    prefix = "optimiser/"
    optimiser = {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
    return Checkpoint(LearnerState(parameters, optimiser), *counters, *ties_of(path, metadata))


def _count(path: Path, metadata: Mapping[str, str], name: str) -> int:
    """A whole number of at least 0, which is 0 where it is left out."""
    text = metadata.get(name, "0")
    if not text.isdecimal() or len(text) > 18:
        raise RunError(f"{path}: expected {name} to be a number of rows, got {text[:40]!r}")
    return int(text)


def _check_tied(run_dir: Path, digests: Mapping[Path, str | None]) -> None:
    """Compares the digests of files with the run folder's config."""
    for path, found in digests.items():
        if found is not None and found not in config_digests(run_dir):
            expected = config_digest(run_dir)
            raise RunError(
                f"{path}: expected the policy of the config beside it (digest {expected}), got one of "
                f"digest {found}: {CONFIG} was edited, or the file is another run's; restore it, or train or "
                "save the policy anew"
            )
    if None in digests.values():
        _check_none_is_tied(run_dir)
        warnings.warn(
            f"{run_dir}: expected files that name the config they were made with, got some of version "
            f"0.1.0, which do not: whether {CONFIG} is theirs cannot be checked; resuming the run "
            "(--resume true) or saving the policy again ties them to it",
            stacklevel=3,
        )


def _check_none_is_tied(run_dir: Path) -> None:
    """Refuses a file without a digest where others have one: it came from another run."""
    for name in (CHECKPOINT, POLICY):
        path = run_dir / name
        if path.is_file() and ties_of(path, read_tensors(path)[1])[0] is not None:
            raise RunError(
                f"{run_dir}: expected files of one run, got {name}, which names its config, beside others of "
                "version 0.1.0, which do not: put back the run's own"
            )
