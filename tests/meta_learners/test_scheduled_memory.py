"""Learning rates of learners with memory follow their schedules, over a resume too."""

import math

import pytest
import torch

from metarl.meta_learners.learner import named_tensors
from tests.support.tiny import through_a_checkpoint, tiny_state
from tests.support.tiny_memory import memory_learner, sampled

UPDATES, START, END = 3, 8e-3, 2e-3
SHARES = {
    "linear": [1 - min(n / UPDATES, 1) for n in range(5)],
    "cosine": [(1 + math.cos(math.pi * min(n / UPDATES, 1))) / 2 for n in range(5)],
}
LEARNERS = ["rl2", "varibad", "pearl", "recurrent_sac"]


def scheduled(name, shape):
    settings = {"learning_rate": START, "final_learning_rate": END, "schedule": shape}
    if name == "varibad":
        settings |= {"belief_learning_rate": 2 * START, "final_belief_learning_rate": 3 * END}
    return memory_learner(name, schedule_updates=UPDATES, **settings)


def constant(name, share):
    settings = {"learning_rate": END + (START - END) * share}
    if name == "varibad":
        settings["belief_learning_rate"] = 3 * END + (2 * START - 3 * END) * share
    return memory_learner(name, **settings)


def check_same(one, other):
    expected = {**other.parameters, **named_tensors(other.optimiser)}
    for n, value in {**one.parameters, **named_tensors(one.optimiser)}.items():
        torch.testing.assert_close(value, expected[n], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("shape", SHARES)
@pytest.mark.parametrize("name", LEARNERS)
def test_a_schedule_is_a_row_of_constant_rates(name, shape):
    made = scheduled(name, shape)
    theta = tiny_state(made)
    state, expected = made.start(theta), made.start(theta)
    for number, share in enumerate(SHARES[shape]):
        batch = sampled(made, state.parameters, (number,))
        update = made.update(state, batch)
        assert update.metrics["learning_rate"] == pytest.approx(END + (START - END) * share, rel=1e-12)
        state, expected = update.state, constant(name, share).update(expected, batch).state
        check_same(state, expected)


@pytest.mark.parametrize("name", LEARNERS)
def test_a_schedule_goes_on_after_a_checkpoint_to_the_last_bit(name, tmp_path):
    made = scheduled(name, "cosine")
    state = made.start(made.initial_parameters(torch.Generator().manual_seed(0)))
    for number in range(3):
        batch = sampled(made, state.parameters, (number,))
        through = made.update(through_a_checkpoint(state, tmp_path), batch) if number else None
        state = made.update(state, batch).state
        if through is not None:
            found = {**through.state.parameters, **named_tensors(through.state.optimiser)}
            for n, value in {**state.parameters, **named_tensors(state.optimiser)}.items():
                assert torch.equal(found[n], value), n


@pytest.mark.parametrize("settings", [{"schedule": "linear"}, {"schedule_updates": 3}])
@pytest.mark.parametrize("name", LEARNERS)
def test_a_schedule_has_updates(name, settings):
    with pytest.raises(ValueError, match=r"^meta_learner\.schedule_updates: expected an integer > 0"):
        memory_learner(name, **settings)
