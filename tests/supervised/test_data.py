"""Labelled sets as tasks."""

from dataclasses import replace

import pytest
import torch

from metarl.supervised.data.glyphs import GlyphsConfig, characters, draw_glyphs
from metarl.supervised.data.labelled import EpisodeConfig, draw_episodes, episodes, split
from tests.support.tiny_labelled import TinyConfig, patterns, tiny


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def numbered(classes, instances):
    """Images of one pixel, which say what they are: 100 * class + instance."""
    return [torch.tensor([[[[100.0 * c + i]]] for i in range(instances)]) for c in range(classes)]


def test_splits_share_no_class_and_follow_from_their_key():
    images, config = numbered(16, 6), TinyConfig()
    parts = {name: {int(one[0]) for one in of} for name, of in split(images, config).items()}
    assert [len(part) for part in parts.values()] == [8, 4, 4]
    assert len(set.union(*parts.values())) == 16
    again, other = (split(images, replace(config, split_seed=seed)) for seed in (0, 1))
    assert {int(one[0]) for one in again["train"]} == parts["train"]
    assert {int(one[0]) for one in other["train"]} != parts["train"]


def test_no_image_of_the_support_is_a_query_and_all_are_of_their_label():
    images = numbered(9, 6)
    drawn = draw_episodes(images, 50, 4, 2, 3, generator())
    for task in range(50):
        support, query = (part.x[task].flatten().long() for part in drawn[:2])
        assert len({*support.tolist(), *query.tolist()}) == 4 * 5
        for part in drawn[:2]:
            classes = part.x[task].flatten().long() // 100
            assert torch.equal(drawn.classes[task][part.y[task]], classes)
            assert torch.equal(part.y[task].bincount(), torch.full((4,), len(classes) // 4))


def test_labels_and_places_tell_nothing_of_classes():
    """Every class has every label equally often, and every place of the support every label."""
    drawn = draw_episodes(numbered(4, 6), 4000, 4, 1, 1, generator())
    classes = drawn.support.x.flatten(1).long() // 100
    for label in range(4):
        of_label = classes[drawn.support.y == label]
        assert (of_label.bincount() / 4000).tolist() == pytest.approx([0.25] * 4, abs=0.03)
        in_first_place = (drawn.support.y[:, 0] == label).float().mean().item()
        assert in_first_place == pytest.approx(0.25, abs=0.03)


def test_bytes_are_drawn_as_shares():
    images = [torch.full((3, 1, 2, 2), 51, dtype=torch.uint8) for _ in range(2)]
    assert torch.equal(
        draw_episodes(images, 1, 2, 1, 1, generator()).query.x, torch.full((1, 2, 1, 2, 2), 0.2)
    )


def test_an_evaluation_may_have_other_numbers_of_queries():
    source = tiny(TinyConfig(queries=1, evaluation_queries=3))
    assert source.draw("train", 2, generator()).query.y.shape == (2, 3)
    assert source.draw("test", 2, generator()).query.y.shape == (2, 9)
    assert source.title == "3-way 2-shot of 4 test classes"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"queries": 5}, "data.queries: expected shots and queries of at most 6 examples a class, got 7"),
        ({"training_classes": 11}, "data.training_classes: expected at most 12 of 16 classes"),
        ({"ways": 5}, "less the 5 of a test task, got 8"),
    ],
)
def test_sets_that_are_too_small_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        tiny(TinyConfig(**settings))


def test_a_split_of_too_few_classes_is_refused():
    parts = split(patterns(TinyConfig()), TinyConfig())
    with pytest.raises(
        ValueError, match=r"data\.ways: expected at most the 4 classes of the split validation"
    ):
        episodes(parts, EpisodeConfig(ways=6, queries=1, evaluation_queries=1))
    with pytest.raises(ValueError, match=r"data\.ways: expected 2 or more classes, got 1"):
        EpisodeConfig(ways=1)


@pytest.fixture(scope="module")
def few():
    return draw_glyphs(GlyphsConfig(instances=3))


def test_glyphs_follow_from_their_seed(few):
    again, other = (draw_glyphs(GlyphsConfig(instances=3, drawing_seed=seed)) for seed in (0, 1))
    assert all(map(torch.equal, few, again))
    assert not any(map(torch.equal, few, other))


def test_glyphs_are_hundreds_of_characters_with_ink(few):
    names = characters()
    assert len(few) == len(names) == len({*names}) > 700
    assert {"A", "g", "Ж", "ω", "7"} <= {*names}
    assert len({"A", "Α", "А"} & {*names}) == 1  # Latin, Greek and Cyrillic ones look alike  # noqa: RUF001
    for images in few:
        assert images.shape == (3, 1, 28, 28)
        assert images.dtype == torch.uint8
        assert (images.flatten(1).max(1).values > 60).all()
        assert images.float().mean() < 128


def test_instances_of_a_glyph_differ_and_are_alike_all_the_same(few):
    """An instance is nearer to the mean of its own character's others than to those of most characters."""
    flat = torch.stack(few).flatten(2).float()
    assert all(len(images.unique(dim=0)) == 3 for images in flat)
    means = flat[:, :2].mean(1)
    distances = torch.cdist(flat[:, 2], means)
    ranks = (distances < distances.diagonal()[:, None]).sum(1).double()
    assert ranks.median() < 0.1 * len(few)
