"""Frames of an episode beside each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from metarl_envs.rendering.frames import Frame


def strip(frames: Sequence[Frame], count: int) -> Frame:
    """So many frames at even distances, the first and the last among them, from left to right."""
    chosen = np.linspace(0, len(frames) - 1, count).round().astype(int)
    return np.concatenate([frames[i] for i in chosen], axis=1)
