"""Where tensors lie."""

from __future__ import annotations

import torch

from metarl.errors import ConfigError


def resolve_device(name: str) -> torch.device:
    """The device of that name; "auto" is a GPU when there is one.

    Raises:
        ConfigError: no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"training.device: expected auto, cpu or cuda, got {name!r}") from error
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"training.device: expected auto, cpu or cuda, got {name!r}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"training.device: expected a device of this machine, got {name!r} and "
            f"{torch.cuda.device_count()} CUDA devices; use auto or cpu"
        )
    return device
