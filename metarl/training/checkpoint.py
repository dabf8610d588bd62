"""Checkpoints: safetensors files, written atomically, with a digest of their contents."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from metarl.errors import RunError
from metarl.math.parameters import Parameters
from metarl.meta_learners.learner import LearnerState

CHECKPOINT = "checkpoint.safetensors"
POLICY = "policy.safetensors"
SNAPSHOTS = "snapshots"


@dataclass(frozen=True)
class Checkpoint:
    """Everything an exact resume needs; all randomness follows from the seed and the iteration.

    Args:
        state: the learner's.
        iteration: iterations done.
        environment_steps: steps taken in them.
    """

    state: LearnerState
    iteration: int
    environment_steps: int


def save_checkpoint(run_dir: Path, checkpoint: Checkpoint) -> None:
    """Writes the policy and the checkpoint into the run folder; a crash leaves the old or the new file."""
    save_parameters(run_dir / POLICY, checkpoint.state.parameters)
    _write_checkpoint(run_dir / CHECKPOINT, checkpoint)


def save_snapshot(run_dir: Path, checkpoint: Checkpoint) -> None:
    """Keeps the policy of an iteration beside the last one: the checkpoint without its optimiser."""
    path = run_dir / SNAPSHOTS / f"iteration_{checkpoint.iteration:06}.safetensors"
    path.parent.mkdir(exist_ok=True)
    _write_checkpoint(path, replace(checkpoint, state=LearnerState(checkpoint.state.parameters)))


def load_checkpoint(run_dir: Path) -> Checkpoint:
    """Reads the checkpoint of a run folder.

    Raises:
        RunError: there is none, or it is not a whole checkpoint.
    """
    return _read_checkpoint(run_dir / CHECKPOINT)


def load_snapshots(run_dir: Path) -> list[Checkpoint]:
    """Reads the policies that were kept in training, in their order; without their optimisers.

    Raises:
        RunError: a file is not a whole snapshot.
    """
    return [_read_checkpoint(path) for path in sorted((run_dir / SNAPSHOTS).glob("*.safetensors"))]


def save_parameters(path: Path, parameters: Parameters) -> None:
    """Writes parameters atomically."""
    _write(path, parameters, {"parameter_order": "\n".join(parameters)})


def load_parameters(path: Path) -> Parameters:
    """Reads parameters, in the order they had.

    Raises:
        RunError: the file is missing, foreign or damaged.
    """
    tensors, metadata = _read(path)
    try:
        return {name: tensors[name] for name in metadata["parameter_order"].split("\n")}
    except KeyError as error:
        raise RunError(f"{path}: expected a metarl policy, found no {error}") from error


def write_atomically(path: Path, data: bytes) -> None:
    """Replaces the file's contents in one step: a crash leaves the old file or the new one."""
    temporary = path.with_name(path.name + ".partial")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def protocol_digest(protocol: Mapping[str, Any]) -> str:
    """Twelve characters that name what results follow from, for their file."""
    return hashlib.sha256(json.dumps(protocol, sort_keys=True).encode()).hexdigest()[:12]


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
    tensors |= {f"optimiser/{name}": value for name, value in state.optimiser.items()}
    counters = {
        "iteration": str(checkpoint.iteration),
        "environment_steps": str(checkpoint.environment_steps),
        "parameter_order": "\n".join(state.parameters),
    }
    _write(path, tensors, counters)


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
    return Checkpoint(LearnerState(parameters, optimiser), *counters)


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
