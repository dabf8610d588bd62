"""Checkpoints: safetensors files, written atomically, with a digest of their contents."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from metarl.errors import RunError
from metarl.math.parameters import Parameters
from metarl.meta_learners.learner import LearnerState, named_tensors
from metarl.runs.files import CHECKPOINT, CONFIG, POLICY, SNAPSHOTS, write_atomically
from metarl.runs.run_config import config_digest

_CONFIG_DIGEST = "config_digest"


@dataclass(frozen=True)
class Checkpoint:
    """Everything an exact resume needs; all randomness follows from the seed and the iteration.

    Args:
        state: the learner's.
        iteration: iterations done.
        environment_steps: steps taken in them.
        config_digest: of the run's config; None of files of version 0.1.0, which do not say.
    """

    state: LearnerState
    iteration: int
    environment_steps: int
    config_digest: str | None


def save_checkpoint(run_dir: Path, checkpoint: Checkpoint) -> None:
    """Writes the checkpoint and then its policy; a crash leaves the old or the new file of each."""
    _write_checkpoint(run_dir / CHECKPOINT, checkpoint)
    save_policy(run_dir, checkpoint.state.parameters, checkpoint.config_digest)


def save_snapshot(run_dir: Path, checkpoint: Checkpoint) -> None:
    """Keeps the policy of an iteration beside the last one: the checkpoint without its optimiser."""
    path = run_dir / SNAPSHOTS / f"iteration_{checkpoint.iteration:06}.safetensors"
    path.parent.mkdir(exist_ok=True)
    _write_checkpoint(path, replace(checkpoint, state=LearnerState(checkpoint.state.parameters)))


def load_checkpoint(run_dir: Path) -> Checkpoint:
    """Reads the checkpoint of a run folder; its optimiser's tensors are by name, in no learner's own form.

    Raises:
        RunError: there is none, it is not a whole checkpoint, or not that of the config beside it.

    Warns:
        UserWarning: it is of version 0.1.0, which ties no file to its config.
    """
    found = _read_checkpoint(run_dir / CHECKPOINT)
    _check_tied(run_dir, {run_dir / CHECKPOINT: found.config_digest})
    return found


def load_snapshots(run_dir: Path) -> list[Checkpoint]:
    """Reads the policies that were kept in training, in their order; without their optimisers.

    Raises:
        RunError: a file is not a whole snapshot, or not that of the config beside it.
    """
    found = {path: _read_checkpoint(path) for path in sorted((run_dir / SNAPSHOTS).glob("*.safetensors"))}
    _check_tied(run_dir, {path: one.config_digest for path, one in found.items()})
    return list(found.values())


def save_policy(run_dir: Path, parameters: Parameters, config_digest: str | None) -> None:
    """Writes the parameters atomically, tied to the config of that digest."""
    _write(run_dir / POLICY, parameters, _metadata(parameters, config_digest))


def load_policy(run_dir: Path) -> Parameters:
    """Reads the policy of a folder, its parameters in the order they had. Warns as `load_checkpoint` does.

    Raises:
        RunError: the file is missing, foreign or damaged, or not that of the config beside it.
    """
    path = run_dir / POLICY
    tensors, metadata = _read(path)
    try:
        parameters = {name: tensors[name] for name in metadata["parameter_order"].split("\n")}
    except KeyError as error:
        raise RunError(f"{path}: expected a metarl policy, found no {error}") from error
    _check_tied(run_dir, {path: metadata.get(_CONFIG_DIGEST)})
    return parameters


def digest(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> str:
    """The SHA-256 of tensors on the CPU, their names and metadata."""
    content = hashlib.sha256(repr(sorted(metadata.items())).encode())
    for name, value in sorted(tensors.items()):
        content.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        content.update(value.numpy().tobytes())
    return content.hexdigest()


def _write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    state = checkpoint.state
    tensors = {f"parameters/{name}": value for name, value in state.parameters.items()}
    tensors |= {f"optimiser/{name}": value for name, value in named_tensors(state.optimiser).items()}
    counters = {
        "iteration": str(checkpoint.iteration),
        "environment_steps": str(checkpoint.environment_steps),
    }
    _write(path, tensors, {**counters, **_metadata(state.parameters, checkpoint.config_digest)})


def _read_checkpoint(path: Path) -> Checkpoint:
    tensors, metadata = _read(path)
    try:
        order = metadata["parameter_order"].split("\n")
        parameters = {name: tensors[f"parameters/{name}"] for name in order}
        counters = int(metadata["iteration"]), int(metadata["environment_steps"])
    except (KeyError, ValueError) as error:
        raise RunError(f"{path}: expected a metarl checkpoint, found no {error}") from error
    prefix = "optimiser/"
    optimiser = {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
    return Checkpoint(LearnerState(parameters, optimiser), *counters, metadata.get(_CONFIG_DIGEST))


def _metadata(parameters: Parameters, config_digest: str | None) -> dict[str, str]:
    order = {"parameter_order": "\n".join(parameters)}
    return order if config_digest is None else {**order, _CONFIG_DIGEST: config_digest}


def _check_tied(run_dir: Path, digests: Mapping[Path, str | None]) -> None:
    """Compares the digests of files with the run folder's config."""
    for path, found in digests.items():
        if found is not None and found != (expected := config_digest(run_dir)):
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
        if path.is_file() and _CONFIG_DIGEST in _read(path)[1]:
            raise RunError(
                f"{run_dir}: expected files of one run, got {name}, which names its config, beside others of "
                "version 0.1.0, which do not: put back the run's own"
            )


def _write(path: Path, tensors: Mapping[str, torch.Tensor], metadata: dict[str, str]) -> None:
    on_cpu = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    write_atomically(path, save(on_cpu, {**metadata, "digest": digest(on_cpu, metadata)}))


def _read(path: Path) -> tuple[Parameters, dict[str, str]]:
    if not path.is_file():
        raise RunError(f"expected a run folder with {path.name}, found none in {path.parent}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise RunError(f"{path}: expected a safetensors file, found a damaged one ({error})") from error
    found = metadata.pop("digest", None)
    if found != digest(tensors, metadata):
        raise RunError(f"{path}: its contents do not match its digest; the file was damaged or edited")
    return tensors, metadata
