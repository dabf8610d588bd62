"""The folder of a run: what it may hold before training, and one process at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from metarl.errors import RunError
from metarl.experiment.environments import as_built
from metarl.experiment.experiments import RunConfig, ScratchExperiment
from metarl.experiment.names import named_modules
from metarl.experiment.plain_yaml import dump_yaml
from metarl.runs.files import (
    ADAPTATION,
    CHECKPOINT,
    CONFIG,
    EVALUATION,
    HELD_OUT_TASK,
    LOCK,
    POLICY,
    PROGRESS,
    SNAPSHOTS,
    snapshot_files,
    write_atomically,
)
from metarl.runs.progress import count_rows
from metarl.runs.run_config import (
    CHANGEABLE,
    config_digest,
    load_run_config,
    read_mapping,
    read_written,
    with_changes,
)
from metarl.runs.saved import holds_saved_policy


@contextmanager
def hold_run_folder(run_dir: Path) -> Iterator[None]:
    """Makes the folder where there is none, and keeps other processes from training in it meanwhile.

    A folder that did not become a run is left as it was found, and so are those above it.

    Raises:
        RunError: another process holds it, or it cannot be written.
    """
    lock = FileLock(run_dir / LOCK)
    try:
        made = [folder for folder in (run_dir, *run_dir.parents) if not folder.exists()]
        run_dir.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise RunError(
            f"run_dir: expected a folder of its own, but another process trains in {run_dir}; wait for it, "
            "or choose another folder by --run_dir DIR"
        ) from error
    except OSError as error:
        raise _not_writable(run_dir, error) from error
    try:
        yield
    finally:
        if not (run_dir / CONFIG).exists():
            (run_dir / LOCK).unlink(missing_ok=True)
        lock.release()
        for folder in made:
            with suppress(OSError):
                folder.rmdir()


def find_run(config: RunConfig, resume: bool) -> bool:
    """Whether the run folder holds the run to resume; it then holds no other, and none to overwrite.

    Raises:
        RunError: the folder holds a run that is not to be resumed, another run, or something else.
    """
    run_dir = Path(config.run_dir)
    if not (run_dir / CHECKPOINT).is_file() and holds_saved_policy(run_dir):
        raise RunError(
            f"run_dir: expected a folder for a run, found a saved policy in {run_dir}; choose another "
            "folder by --run_dir DIR"
        )
    if resume and (run_dir / CONFIG).is_file():
        named, given = named_modules(read_mapping(run_dir)), as_built(config)
        _check_same(named, {key: value for key, value in _flat(given).items() if key in named})
        _check_same(as_built(load_run_config(run_dir, trust=True)), given)
        return True
    if resume and run_dir.exists() and any(map(_is_content, run_dir.iterdir())):
        raise RunError(f"run_dir: expected a run to resume, found none in {run_dir}")
    if any((run_dir / name).exists() for name in (CONFIG, CHECKPOINT, POLICY, PROGRESS, HELD_OUT_TASK)):
        raise RunError(
            f"run_dir: {run_dir} already holds a run; go on with it by --resume true, or choose another "
            "folder by --run_dir DIR (in Python by resume=True, or overrides={'run_dir': DIR})"
        )
    work = Path.cwd()
    if run_dir.resolve() in (work, *work.parents) and any(map(_is_content, run_dir.iterdir())):
        raise RunError(
            f"run_dir: expected a folder of its own, got {run_dir}, the working directory or one above it; "
            "choose one in it by --run_dir runs/NAME"
        )
    return False


def check_not_lost(run_dir: Path) -> None:
    """Checks that a meta-learner's run, which `find_run` found, never had a checkpoint if it has none.

    A run killed before its first checkpoint has no policy, few rows and nothing that comes later.

    Raises:
        RunError: the folder holds results of a run, but not its checkpoint.
    """
    if (run_dir / CHECKPOINT).is_file():
        return
    rows, every = count_rows(run_dir), int(load_run_config(run_dir, trust=True).training.checkpoint_every)
    later = [POLICY, HELD_OUT_TASK, EVALUATION, ADAPTATION]
    left = [name for name in later if (run_dir / name).exists()]
    if len(snapshot_files(run_dir)) > 1:
        left.append(SNAPSHOTS)
    if left or rows > every:
        found = f"{left[0]} without it" if left else f"{rows} iterations"
        raise RunError(
            f"{run_dir}: expected {CHECKPOINT} to resume from, found {found}: it was lost; put it back, or "
            "start a new run with --run_dir DIR"
        )


def make_run_folder(config: RunConfig) -> str:
    """Makes the run folder where there is none, and writes the config into it; returns the config's digest.

    The config of a run that is there already stays as it is, but for the settings that may change.

    Raises:
        RunError: it cannot be written.
    """
    run_dir, values = Path(config.run_dir), config.as_dict()
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        if not os.access(run_dir, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
        if (run_dir / CONFIG).is_file():
            # Files of meta-learned policies are tied to the config as it stands.
            read = read_mapping if isinstance(config, ScratchExperiment) else read_written
            values = with_changes(read(run_dir), values)
        write_atomically(run_dir / CONFIG, dump_yaml(values).encode())
    except OSError as error:
        raise _not_writable(run_dir, error) from error
    return config_digest(run_dir)


def _is_content(path: Path) -> bool:
    """Whether a file is more than what a process leaves that was killed at the start."""
    return path.suffix != ".partial" and path.name != LOCK


def _check_same(saved: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    old, new = _flat(saved), _flat(given)
    changed = [key for key in {**old, **new} if old.get(key) != new.get(key) and key not in CHANGEABLE]
    if changed:
        key = changed[0]
        raise RunError(
            f"{key}: expected {old.get(key)!r}, as the run to resume was started with, got {new.get(key)!r}; "
            "give the same config, or start a new run with --run_dir DIR"
        )


def _flat(section: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in section.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def _not_writable(run_dir: Path, error: OSError) -> RunError:
    return RunError(f"run_dir: expected a folder to write to, got {run_dir}: {error.strerror}")
