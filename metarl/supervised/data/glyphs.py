"""Glyphs: an Omniglot-like set drawn from the fonts that matplotlib ships (DejaVu), which runs anywhere.

A class is a character; its instances are drawn in sans, serif and mono, upright and oblique, plain and bold,
each turned, slanted, scaled and moved a little. Characters that look like another one are left out.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import torch
from jsonargparse.typing import NonNegativeFloat, NonNegativeInt, PositiveInt
from matplotlib.ft2font import FT2Font
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from metarl.supervised.data.labelled import SplitConfig, episodes, split
from metarl.supervised.examples import TaskSource

FONTS = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSans-Oblique",
    "DejaVuSans-BoldOblique",
    "DejaVuSerif",
    "DejaVuSerif-Bold",
    "DejaVuSerif-Italic",
    "DejaVuSerif-BoldItalic",
    "DejaVuSansMono",
    "DejaVuSansMono-Bold",
    "DejaVuSansMono-Oblique",
    "DejaVuSansMono-BoldOblique",
)
SIDE = 28
_DRAWN_AT, _POINTS = 56, 40
"""Pixels of the side and of the font where a character is drawn, before it is made half as large."""
_KINDS = "Lu", "Ll", "Lo", "Nd", "No", "Sc", "Sm", "So"
"""Of characters in Unicode; marks and modifiers are too small to be told from one another."""
_ALIKE = 0.9
"""The correlation from which on two characters are taken for one."""


@dataclass(frozen=True)
class GlyphsConfig(SplitConfig):
    """Characters of DejaVu, 28 x 28.

    Args:
        instances: images of every character.
        rotation, slant: the largest, to both sides, in degrees.
        jitter: the largest shift along both axes, in pixels.
        drawing_seed: decides the instances.
    """

    training_classes: PositiveInt = 600
    validation_classes: PositiveInt = 75
    instances: PositiveInt = 20
    rotation: NonNegativeFloat = 15.0
    slant: NonNegativeFloat = 10.0
    jitter: NonNegativeFloat = 2.0
    drawing_seed: NonNegativeInt = 0


def glyphs(config: GlyphsConfig) -> TaskSource:
    """Tasks of characters.

    Raises:
        ValueError: too few characters or instances for the splits and tasks.
    """
    return episodes(split(draw_glyphs(config), config), config)


def draw_glyphs(config: GlyphsConfig) -> list[Tensor]:
    """Every character's instances, ink on 0, uint8 [instance, 1, 28, 28]; the same for the same settings."""
    fonts = _fonts()
    rng = np.random.default_rng(int(config.drawing_seed))
    return [torch.from_numpy(_instances(one, fonts, config, rng))[:, None] for one in characters()]


@cache
def characters() -> tuple[str, ...]:
    """Characters that all fonts have, no two of which look alike, in the order of their code points."""
    known = [set(FT2Font(str(_file(name))).get_charmap()) for name in FONTS]
    candidates = [chr(code) for code in sorted(set.intersection(*known)) if _is_plain(chr(code))]
    font = _fonts()[0]
    seen = np.stack([_drawn(one, font, np.eye(2), np.zeros(2)).ravel() for one in candidates]).astype(
        np.float64
    )
    centred = seen - seen.mean(1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1)
    alike = (centred / np.maximum(lengths, 1e-9)[:, None]) @ (centred / np.maximum(lengths, 1e-9)[:, None]).T
    kept: list[int] = []
    for i in np.flatnonzero(lengths > 0):
        if not kept or alike[i, kept].max() < _ALIKE:
            kept.append(int(i))
    return tuple(candidates[i] for i in kept)


def _is_plain(character: str) -> bool:
    """A letter, digit or symbol that is no variant, and no composition, of others."""
    return unicodedata.category(character) in _KINDS and unicodedata.normalize("NFKD", character) == character


def _instances(
    character: str, fonts: Sequence[ImageFont.FreeTypeFont], config: GlyphsConfig, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """[instance, 28, 28]: fonts in turn, in an order of the character's own."""
    number, order = int(config.instances), rng.permutation(len(fonts))
    turns = np.radians(rng.uniform(-1, 1, number) * float(config.rotation))
    slants = np.tan(np.radians(rng.uniform(-1, 1, number) * float(config.slant)))
    scales = rng.uniform(0.85, 1.15, (number, 2))
    shifts = rng.uniform(-1, 1, (number, 2)) * float(config.jitter) * _DRAWN_AT / SIDE
    images = []
    for i in range(number):
        cosine, sine = math.cos(turns[i]), math.sin(turns[i])
        turned = np.array([[cosine, -sine], [sine, cosine]]) @ np.array([[1.0, slants[i]], [0.0, 1.0]])
        images.append(_drawn(character, fonts[order[i % len(fonts)]], turned * scales[i], shifts[i]))
    return np.stack(images)


def _drawn(
    character: str, font: ImageFont.FreeTypeFont, matrix: NDArray[np.float64], shift: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """One image [28, 28]: the character, then a linear map about the middle and a shift.

    Args:
        matrix: from a pixel of the result to the one that it shows, [2, 2].
        shift: in pixels of the drawing, [2].
    """
    canvas = Image.new("L", (_DRAWN_AT, _DRAWN_AT))
    middle = _DRAWN_AT / 2
    ImageDraw.Draw(canvas).text((middle, middle), character, fill=255, font=font, anchor="mm")
    (a, b), (c, d) = matrix.tolist()
    x, y = middle - matrix @ (np.full(2, middle) + shift)
    moved = canvas.transform(
        canvas.size, Image.Transform.AFFINE, (a, b, x, c, d, y), Image.Resampling.BILINEAR
    )
    return np.asarray(moved.resize((SIDE, SIDE), Image.Resampling.BOX))


def _fonts() -> list[ImageFont.FreeTypeFont]:
    basic = ImageFont.Layout.BASIC  # the same wherever it is drawn, with Raqm installed or not
    return [ImageFont.truetype(str(_file(name)), _POINTS, layout_engine=basic) for name in FONTS]


def _file(font: str) -> Path:
    return Path(matplotlib.get_data_path()) / "fonts/ttf" / f"{font}.ttf"
