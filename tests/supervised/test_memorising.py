"""Labels that are shuffled by episode keep a learner that knows classes by heart at chance."""

from dataclasses import replace

import pytest
import torch

from metarl.compute.task_map import TaskMap
from metarl.supervised.data.labelled import draw_episodes
from metarl.supervised.evaluation import evaluate
from metarl.supervised.names import NAMES
from tests.support.tiny_labelled import TinyConfig, patterns, tiny_learner, tiny_model

FEW = {"ways": 2, "queries": 4, "shots": 1, "training_classes": 4, "noise": 0.0}


def test_a_network_that_ignores_the_support_stays_at_chance_on_the_classes_it_trained_on():
    """MAML without inner steps' help: steps of size 0 leave one network for all tasks."""
    model, source = tiny_model(**FEW)
    learner = tiny_learner("maml", model, inner_step_size=1e-12)
    state = learner.start(learner.initial_parameters(torch.Generator().manual_seed(0)))
    generator = torch.Generator().manual_seed(1)
    for _ in range(150):
        state = learner.update(state, source.draw("train", 4, generator)).state
    found = source.draw("train", 200, generator)
    right = [
        (learner.predict(state.parameters, *_of(found, i), 0)[0].argmax(-1) == found.query.y[i])
        .float()
        .mean()
        for i in range(200)
    ]
    assert abs(torch.stack(right).mean() - 0.5) < 0.06


def test_with_labels_by_class_the_same_network_knows_them_by_heart():
    """The control: the same images with labels that their classes have in every task."""
    model, _ = tiny_model(**FEW)
    learner = tiny_learner(
        "maml",
        model,
        inner_step_size=1e-12,
    )
    state = learner.start(learner.initial_parameters(torch.Generator().manual_seed(0)))
    generator, classes = torch.Generator().manual_seed(1), patterns(TinyConfig(noise=0.0))[:2]
    for _ in range(60):
        state = learner.update(state, _by_class(classes, generator)).state
    found = _by_class(classes, generator)
    outputs = learner.predict(state.parameters, *_of(found, 0), 0)[0]
    assert (outputs.argmax(-1) == found.query.y[0]).all()


@pytest.mark.parametrize("name", sorted(NAMES["learner"]))
def test_a_learner_whose_support_has_other_labels_than_its_queries_stays_at_chance(name):
    """On the very classes that it trained on: labels come from the support, and from nowhere else."""
    model, source = tiny_model(**FEW)
    blind = replace(source, draw=lambda *asked: _with_other_labels(source.draw(*asked), asked[-1]))
    learner, generator = tiny_learner(name, model), torch.Generator().manual_seed(1)
    state = learner.start(learner.initial_parameters(torch.Generator().manual_seed(0)))
    for _ in range(20):
        state = learner.update(state, blind.draw("train", 4, generator)).state
    many = {"tasks": 400, "steps": 2, "seed": 0, "task_map": TaskMap(25, 1)}
    scores = evaluate(learner, state.parameters, blind, "train", **many)
    assert abs(scores.mean - 0.5).max() < 0.1


def _with_other_labels(drawn, generator):
    """Every support's labels renamed, by chance."""
    ways = drawn.classes.shape[1]
    names = torch.stack([torch.randperm(ways, generator=generator) for _ in range(drawn.tasks)])
    return drawn._replace(support=drawn.support._replace(y=names.gather(1, drawn.support.y)))


def _by_class(classes, generator):
    drawn = draw_episodes(classes, 4, 2, 1, 4, generator)
    support, query = (part._replace(y=drawn.classes.gather(1, part.y)) for part in drawn[:2])
    return drawn._replace(support=support, query=query)


def _of(found, task):
    support = type(found.support)(found.support.x[task], found.support.y[task])
    return support, found.query.x[task]
