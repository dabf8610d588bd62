"""Labels that are shuffled by episode keep a learner that knows classes by heart at chance."""

import torch

from metarl.supervised.data.labelled import draw_episodes
from tests.support.tiny_labelled import TinyConfig, patterns, tiny_learner, tiny_model


def test_a_network_that_ignores_the_support_stays_at_chance_on_the_classes_it_trained_on():
    """MAML without inner steps' help: steps of size 0 leave one network for all tasks."""
    model, source = tiny_model(ways=2, queries=4, shots=1, training_classes=4, noise=0.0)
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
    model, _ = tiny_model(ways=2, queries=4, shots=1, training_classes=4, noise=0.0)
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


def _by_class(classes, generator):
    drawn = draw_episodes(classes, 4, 2, 1, 4, generator)
    support, query = (part._replace(y=drawn.classes.gather(1, part.y)) for part in drawn[:2])
    return drawn._replace(support=support, query=query)


def _of(found, task):
    support = type(found.support)(found.support.x[task], found.support.y[task])
    return support, found.query.x[task]
