"""Frames of an episode beside each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from metarl_envs.rendering.frames import Frame

from metarl.runs.captions import annotated


def strip(frames: Sequence[Frame], count: int, caption: str) -> Frame:
    """So many frames at even distances, the first and the last among them; the caption is in the first."""
    first, *others = [frames[i] for i in np.linspace(0, len(frames) - 1, count).round().astype(int)]
    return np.concatenate([annotated(first, caption, "top right"), *others], axis=1)
