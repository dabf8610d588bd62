"""Policies saved apart from a run: one file, or a folder with one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from metarl.errors import RunError
from metarl.experiment.experiments import ExperimentConfig
from metarl.runs.files import CHECKPOINT, POLICY, PROGRESS, SUFFIX
from metarl.runs.policy_file import PolicyFile, read_policy, write_policy
from metarl.runs.run_config import config_digest, save_run_config


def is_policy_file(path: Path) -> bool:
    """Whether a path stands for one file rather than for a folder."""
    return path.suffix == SUFFIX and not path.is_dir()


def save_apart(path: Path, policy: PolicyFile, config: ExperimentConfig | None = None) -> None:
    """Writes a policy that is no part of a run.

    Args:
        path: of one file, if it ends in .safetensors; else of a folder.
        config: goes into the folder too; the policy is then tied to it.

    Raises:
        RunError: it cannot be written, or would take the place of a training run's files.
    """
    file = path if is_policy_file(path) else path / POLICY
    if file.name in (POLICY, CHECKPOINT) and holds_run(file.parent):
        raise RunError(f"expected a folder of its own for the policy, got the training run in {file.parent}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if config is not None:
            save_run_config(file.parent, config)
            policy = replace(policy, config_digest=config_digest(file.parent))
        write_policy(file, policy)
    except OSError as error:
        raise RunError(f"expected a place to write to, got {path}: {error.strerror}") from error
    except ValueError as error:  # a name that no file can have
        raise RunError(f"expected a place to write to, got {path}: {error}") from error


def holds_run(folder: Path) -> bool:
    """Whether a folder holds a training run: it has a run's files, or its policy says so."""
    if any((folder / name).is_file() for name in (CHECKPOINT, PROGRESS)):
        return True
    return (folder / POLICY).is_file() and not holds_saved_policy(folder)


def holds_saved_policy(folder: Path) -> bool:
    """Whether a folder holds a policy that was saved apart from its run, as the policy's file says.

    Files of version 0.1.0 do not say: there, a policy without a run's files beside it was saved.

    Raises:
        RunError: the policy cannot be read.
    """
    if not (folder / POLICY).is_file():
        return False
    description = read_policy(folder / POLICY).description
    if description is not None:
        return description.kind != "run"
    return not any((folder / name).is_file() for name in (CHECKPOINT, PROGRESS))
