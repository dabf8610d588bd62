"""What is written on films, and two films side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from itertools import zip_longest
from typing import Any, Literal

import numpy as np
from metarl_envs.rendering.frames import Frame
from PIL import Image, ImageDraw

from metarl.runs.tables import task_text


def captions_of(adapted: str) -> tuple[str, str]:
    """Of the two films that `side_by_side` joins, the second one after "1 inner step", say."""
    return "before adaptation", f"after {adapted}"


def side_by_side(
    before: Iterable[Frame], after: Iterable[Frame], captions: tuple[str, str]
) -> Iterator[Frame]:
    """Two films as one, each with its caption; the one that ends first stands still."""
    last: list[Frame] = []
    for pair in zip_longest(before, after):
        last = [new if new is not None else last[i] for i, new in enumerate(pair)]
        yield np.hstack([annotated(one, text, "top right") for one, text in zip(last, captions, strict=True)])


def gif(frames: Sequence[Frame], seconds: float) -> bytes:
    """An animated GIF that plays for ever.

    Args:
        seconds: that a frame stands.
    """
    first, *others = (Image.fromarray(frame).quantize(128) for frame in frames)
    file = BytesIO()
    first.save(file, "GIF", save_all=True, append_images=others, duration=round(1000 * seconds), loop=0)
    return file.getvalue()


def annotated(frame: Frame, text: str, corner: Literal["top right", "bottom left"] = "bottom left") -> Frame:
    """The frame with lines of text in a corner; MuJoCo's own labels stand elsewhere."""
    picture = Image.fromarray(frame)
    size = max(10, picture.height // 22, min(16, picture.width // 20))  # TensorBoard shows pictures smaller
    margin = size // 2
    places = {
        "top right": ("ra", (picture.width - margin, margin)),
        "bottom left": ("ld", (margin, picture.height - margin)),
    }
    anchor, place = places[corner]
    ImageDraw.Draw(picture).multiline_text(
        place,
        text,
        "white",
        font_size=size,
        anchor=anchor,
        stroke_width=max(1, size // 10),
        stroke_fill="black",
    )
    return np.asarray(picture)


def episode_text(task: Mapping[str, Any] | None, step: int, gained: float) -> str:
    """The task, a line per parameter, and below "step 12   return -3.1"."""
    lines = [task_text({name: value}) for name, value in (task or {}).items()]
    return "\n".join([*lines, f"step {step}   return {gained:.1f}"])
