"""Omniglot and miniImageNet from a local folder."""

import numpy as np
import pytest
import torch
from PIL import Image

from metarl.errors import ConfigError
from metarl.experiment.config import read_config
from metarl.supervised.data.folders import MiniImagenetConfig, OmniglotConfig, mini_imagenet, omniglot
from metarl.training.examples.build import build_supervised


def write(path, value, mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((10, 10) if mode == "L" else (10, 10, 3), value, dtype=np.uint8)).save(path)


def drawn(source, split):
    return source.draw(split, 1, torch.Generator().manual_seed(0))


def test_omniglot_is_read_as_torchvision_unpacks_it(tmp_path):
    for part, characters in (("images_background", 4), ("images_evaluation", 3)):
        for i in range(characters):
            for j in range(3):
                write(tmp_path / f"omniglot-py/{part}/Greek/character{i:02}/{i}_{j}.png", 255 - 10 * i)
    few = {"ways": 2, "queries": 1, "evaluation_queries": 2, "training_classes": 3, "validation_classes": 2}
    source = omniglot(OmniglotConfig(folder=str(tmp_path), rotations=False, **few))
    assert source.inputs == (1, 28, 28)
    found = drawn(source, "test")
    assert found.query.x.shape == (1, 4, 1, 28, 28)
    assert set((found.query.x * 255).round().unique().tolist()) <= {0.0, 10.0, 20.0, 30.0}
    turned = omniglot(OmniglotConfig(folder=str(tmp_path), **few))
    assert turned.training_classes == 4 * source.training_classes


def test_mini_imagenet_is_read_by_its_split(tmp_path):
    for name, level in (("train", 50), ("val", 100), ("test", 150)):
        for i in range(3):
            for j in range(2):
                write(tmp_path / f"mini-imagenet/{name}/n{i}/{j}.jpg", level, "RGB")
    source = mini_imagenet(MiniImagenetConfig(folder=str(tmp_path), ways=2, queries=1, evaluation_queries=1))
    assert source.inputs == (3, 84, 84)
    for name, level in (("train", 50), ("validation", 100), ("test", 150)):
        assert (drawn(source, name).query.x * 255).mean().item() == pytest.approx(level, abs=1)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("omniglot/maml", "omniglot-py, found no images_background/ALPHABET/CHARACTER/*.png; unpack"),
        ("mini_imagenet/maml", "mini-imagenet, found no train/CLASS/*.jpg; put the images"),
    ],
)
def test_a_config_without_its_data_says_what_to_put_where(tmp_path, name, found):
    config = read_config(name, {"data.folder": str(tmp_path)})
    with pytest.raises(ConfigError) as raised:
        build_supervised(config)
    assert str(raised.value).startswith(f"data.folder: expected {'Omniglot' if 'omni' in name else 'mini'}")
    assert found in str(raised.value)
    assert "\n" not in str(raised.value)
