"""What a process takes of its machine."""

from __future__ import annotations

import os
from pathlib import Path

import torch

_GIB = 2**30
_STATM = Path("/proc/self/statm")


def memory() -> dict[str, float]:
    """GiB: resident memory now, where the system tells it, and the most that tensors took on a GPU."""
    found: dict[str, float] = {}
    if _STATM.exists():
        pages = int(_STATM.read_text().split()[1])
        found["memory_gib"] = pages * os.sysconf("SC_PAGE_SIZE") / _GIB
    if torch.cuda.is_available() and (most := torch.cuda.max_memory_allocated()):
        found["gpu_memory_gib"] = most / _GIB
    return found
