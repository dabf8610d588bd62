"""Omniglot and miniImageNet from a local folder; nothing is ever downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jsonargparse.typing import PositiveInt
from PIL import Image
from torch import Tensor

from metarl.errors import ConfigError
from metarl.supervised.data.labelled import EpisodeConfig, SplitConfig, episodes, split
from metarl.supervised.examples import SPLITS, Split, TaskSource

_OMNIGLOT = ("images_background", "images_evaluation")
_SPLIT_FOLDERS: dict[Split, str] = {"train": "train", "validation": "val", "test": "test"}
_IMAGES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class OmniglotConfig(SplitConfig):
    """1623 characters of 20 drawings each (Lake et al. 2011), 28 x 28, ink on 0.

    Args:
        folder: holds omniglot-py with images_background and images_evaluation, alphabet/character/*.png, as
            torchvision's `Omniglot` unpacks them.
        side: pixels of an image's side.
        rotations: turn every character by 90, 180 and 270 degrees for classes of their own, as Santoro and
            others do (2016); turned ones are in the split of the upright one.
    """

    training_classes: PositiveInt = 1100
    validation_classes: PositiveInt = 100
    folder: str = "data"
    side: PositiveInt = 28
    rotations: bool = True


@dataclass(frozen=True)
class MiniImagenetConfig(EpisodeConfig):
    """64, 16 and 20 classes of 600 images each (Ravi and Larochelle 2017's split), in colours.

    Args:
        folder: holds mini-imagenet with train, val and test, class/*.jpg, as torchvision's `ImageFolder`
            reads them.
        side: pixels of an image's side.
    """

    folder: str = "data"
    side: PositiveInt = 84


def omniglot(config: OmniglotConfig) -> TaskSource:
    """Tasks of Omniglot's characters.

    Raises:
        ConfigError: the folder does not hold it.
        ValueError: too few characters for the splits and tasks.
    """
    root = Path(config.folder).expanduser() / "omniglot-py"
    folders = [one for part in _OMNIGLOT for one in sorted((root / part).glob("*/*")) if one.is_dir()]
    missing = [part for part in _OMNIGLOT if not any((root / part).glob("*/*/*.png"))]
    if missing:
        raise ConfigError(
            f"data.folder: expected Omniglot in {root}, found no {missing[0]}/ALPHABET/CHARACTER/*.png; "
            f"unpack {missing[0]}.zip of github.com/brendenlake/omniglot, folder python, there, or train on "
            "glyphs"
        )
    drawings = [255 - _images(one, int(config.side), "L") for one in folders]
    parts = split(drawings, config)
    if config.rotations:
        parts = {name: [turned for one in of for turned in _turned(one)] for name, of in parts.items()}
    return episodes(parts, config)


def mini_imagenet(config: MiniImagenetConfig) -> TaskSource:
    """Tasks of miniImageNet's classes.

    Raises:
        ConfigError: the folder does not hold it.
        ValueError: too few classes for the tasks.
    """
    root = Path(config.folder).expanduser() / "mini-imagenet"
    parts: dict[Split, Sequence[Tensor]] = {}
    for name in SPLITS:
        part = root / _SPLIT_FOLDERS[name]
        classes = [one for one in sorted(part.glob("*")) if one.is_dir() and _files(one)]
        if not classes:
            raise ConfigError(
                f"data.folder: expected miniImageNet in {root}, found no {part.name}/CLASS/*.jpg; put the "
                "images of the classes of Ravi and Larochelle's split there, or train on glyphs"
            )
        parts[name] = [_images(one, int(config.side), "RGB") for one in classes]
    return episodes(parts, config)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _IMAGES)


def _images(folder: Path, side: int, mode: str) -> Tensor:
    """All images of a class; uint8 [instance, channel, side, side]."""
    found = []
    for path in _files(folder):
        with Image.open(path) as image:
            small = image.convert(mode).resize((side, side), Image.Resampling.LANCZOS)
            found.append(np.atleast_3d(np.asarray(small)))
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2)


def _turned(images: Tensor) -> list[Tensor]:
    return [torch.rot90(images, quarters, (2, 3)) for quarters in range(4)]
