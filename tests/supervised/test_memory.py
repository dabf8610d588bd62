"""The external memory, one step at a time: least-recently-used access."""

import pytest
import torch

from metarl.supervised.learners import memory_augmented
from metarl.supervised.learners.memory_augmented import Access, Seen, least_used, look
from metarl.supervised.learners.recurrence import initial_cell
from metarl.supervised.networks.network import initial_linear
from tests.support.tiny_labelled import doubled, draw, one, tiny_learner, tiny_model

UNITS, NUMBERS, SLOTS, DECAY, SCALE = 4, 3, 5, 0.9, 3.0
ACCESS = Access(DECAY, SCALE)


@pytest.fixture
def parameters():
    generator = torch.Generator().manual_seed(0)
    weight, bias = initial_linear(UNITS, NUMBERS, generator)
    cell = initial_cell("controller", 2 + UNITS + NUMBERS, UNITS, generator)
    return {**cell, "key.weight": weight, "key.bias": bias, "gate": torch.tensor(-1.0)}


def seen(usage):
    generator = torch.Generator().manual_seed(1)
    hidden, memory_cell, read = (torch.randn(n, generator=generator) for n in (UNITS, UNITS, NUMBERS))
    memory = torch.randn(SLOTS, NUMBERS, generator=generator)
    reading = torch.rand(SLOTS, generator=generator).softmax(0)
    return Seen(hidden, memory_cell, memory, read, reading, torch.tensor(usage))


def test_the_least_used_slot_is_the_first_of_them():
    assert least_used(torch.tensor([0.3, 0.1, 0.2, 0.1])).tolist() == [0, 1, 0, 0]


def test_a_step_empties_writes_and_reads_as_the_papers_equations(parameters):
    before, x = seen([0.5, 0.2, 0.9, 0.4, 0.3]), torch.tensor([0.3, -0.7])
    after = look(parameters, before, x, ACCESS)
    key = torch.tanh(parameters["key.weight"] @ after.hidden + parameters["key.bias"])
    share = 1 / (1 + torch.tensor(1.0).exp())
    for slot in range(SLOTS):
        is_least = float(slot == 1)
        writing = share * before.reading[slot] + (1 - share) * is_least
        kept = torch.zeros(NUMBERS) if is_least else before.memory[slot]
        torch.testing.assert_close(after.memory[slot], kept + writing * key)
    cosines = torch.stack([torch.cosine_similarity(key, row, dim=0) for row in after.memory])
    torch.testing.assert_close(after.reading, (SCALE * cosines).softmax(0))
    torch.testing.assert_close(
        after.read, sum(w * row for w, row in zip(after.reading, after.memory, strict=True))
    )
    writing = share * before.reading + (1 - share) * least_used(before.usage)
    torch.testing.assert_close(after.usage, DECAY * before.usage + after.reading + writing)


def test_what_was_written_is_used_and_another_slot_is_next(parameters):
    state, written = seen([0.0] * SLOTS), []
    for k in range(SLOTS):
        written.append(int(least_used(state.usage).argmax()))
        state = look(parameters, state, torch.tensor([float(k), 1.0]), ACCESS)
    assert sorted(written) == list(range(SLOTS))


@pytest.mark.parametrize("delayed", [True, False])
def test_an_image_comes_with_the_label_before_or_with_its_own(delayed, monkeypatch):
    model, source = tiny_model()
    learner = tiny_learner("memory_augmented", model, delayed_labels=delayed)
    theta = doubled(learner.initial_parameters(torch.Generator().manual_seed(0)))
    episodes = draw(source)
    support, query = one(episodes.support, 0), one(episodes.query, 0)
    labels = []

    def recorded(parameters, state, inputs, access):
        labels.append(inputs[-3:])
        return look(parameters, state, inputs, access)

    monkeypatch.setattr(memory_augmented, "look", recorded)
    learner.predict(theta, support, query.x[:1], 0)
    own = [[float(y == k) for k in range(3)] for y in support.y]
    nothing = [0.0, 0.0, 0.0]
    expected = [nothing, *own] if delayed else [*own, nothing]
    assert [label.tolist() for label in labels[:-1]] == expected[:-1]
    assert len(labels) == len(expected)
