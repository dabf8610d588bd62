"""Safetensors files, written atomically, with a digest of their tensors and metadata."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from metarl.errors import RunError
from metarl.math.parameters import Parameters
from metarl.runs.files import write_atomically

_ORDER = "parameter_order"


def digest(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> str:
    """The SHA-256 of tensors on the CPU, their names and metadata."""
    content = hashlib.sha256(repr(sorted(metadata.items())).encode())
    for name, value in sorted(tensors.items()):
        content.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        content.update(value.numpy().tobytes())
    return content.hexdigest()


def order_of(parameters: Parameters) -> dict[str, str]:
    """Metadata that keep the order of parameters; safetensors files do not."""
    return {_ORDER: "\n".join(parameters)}


def in_order(tensors: Parameters, metadata: Mapping[str, str], prefix: str = "") -> Parameters:
    """The parameters in the order they had.

    Args:
        prefix: of their names in the file.

    Raises:
        KeyError: one is missing, or their order.
    """
    return {name: tensors[prefix + name] for name in metadata[_ORDER].split("\n")}


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    """Replaces the file in one step: a crash leaves the old one or the new one."""
    on_cpu = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    write_atomically(path, save(on_cpu, {**metadata, "digest": digest(on_cpu, metadata)}))


def read_metadata(path: Path) -> dict[str, str]:
    """What a file says beside its tensors, unchecked; nothing where there is no such file."""
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError):
        return {}


def read_tensors(path: Path) -> tuple[Parameters, dict[str, str]]:
    """The tensors and the metadata of a file.

    Raises:
        RunError: the file is missing, foreign, damaged or edited.
    """
    if not path.is_file():
        raise RunError(f"expected a run folder with {path.name}, found none in {path.parent}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            # Copies are aligned as tensors made anew are, so that products have the same last bit.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise RunError(f"{path}: expected a safetensors file, found a damaged one ({error})") from error
    found = metadata.pop("digest", None)
    if found != digest(tensors, metadata):
        raise RunError(f"{path}: its contents do not match its digest; the file was damaged or edited")
    return tensors, metadata
