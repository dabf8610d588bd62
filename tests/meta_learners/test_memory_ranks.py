"""Two ranks with some of the tasks each learn, with memory, what one learns with all of them."""

import pytest
import torch

from metarl.compute.task_map import Reduction, TaskMap
from metarl.rollouts.rollout import SEED, MetaBatch, seeds_of, with_slots
from tests.support.ranks import Exchange
from tests.support.tiny import tiny_state
from tests.support.tiny_beliefs import acted, parameters
from tests.support.tiny_memory import GOALS, memory_learner, sampled

SLOTS, KEY = [[5, 0, 2, 7], [2, 5, 1, 0]], (3, 1, 4)


def updated(name, chosen, reduction):
    """Two iterations with some of the tasks."""
    made = memory_learner(name, TaskMap(2, 1, reduction))
    state = made.start(tiny_state(made))
    for number, slots in enumerate(SLOTS):
        batch = sampled(made, state.parameters, (*KEY, number), chosen)
        update = made.update(state, with_slots(batch, torch.tensor(slots[chosen])))
        state = update.state
    return update


@pytest.mark.parametrize("first", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 3))])
@pytest.mark.parametrize("name", ["rl2", "varibad", "pearl", "recurrent_sac"])
def test_two_ranks_learn_what_one_learns(name, first):
    """However many tasks each has: a rank may have none of a minibatch."""
    whole = updated(name, slice(4), Reduction())
    assert whole.rejection is None
    parts = slice(first), slice(first, 4)
    exchange = Exchange((first, 4 - first))
    for update in exchange.both(lambda reduction, rank: updated(name, parts[rank], reduction)):
        for n, value in whole.state.parameters.items():
            torch.testing.assert_close(update.state.parameters[n], value, rtol=1e-7, atol=1e-10)
        for n, value in whole.metrics.items():
            assert update.metrics[n] == pytest.approx(value, rel=1e-6, abs=1e-9), n
    alone = updated(name, parts[0], Reduction()).state.parameters
    assert any(not torch.allclose(alone[n], value, rtol=1e-4) for n, value in whole.state.parameters.items())


def test_two_ranks_remember_half_of_the_tasks_each():
    whole = updated("pearl", slice(4), Reduction()).state.replay
    parts, exchange = (slice(1), slice(1, 4)), Exchange((1, 3))
    found = exchange.both(lambda reduction, rank: updated("pearl", parts[rank], reduction))
    own = [update.state.replay.own for update in found]
    assert sum(replay.length for replay in own) == whole.length == whole.own.length
    assert [set(replay.column("slot").tolist()) for replay in own] == [{0, 2}, {1, 5, 7}]


@pytest.mark.parametrize("name", ["varibad", "pearl", "recurrent_sac"])
def test_what_a_learner_draws_follows_from_seed_iteration_and_task(name):
    made = memory_learner(name)
    batches = [sampled(made, tiny_state(made), key) for key in (KEY, KEY, (2, *KEY[1:]), (3, 2, 4))]
    seeds = [seeds_of(batch.query) for batch in batches]
    assert torch.equal(seeds[0], seeds[1])
    assert len(set(torch.cat(seeds[1:]).tolist())) == 3 * len(GOALS)
    state, query = made.start(tiny_state(made)), batches[0].query
    learned = [
        made.update(state, MetaBatch((), query._replace(extras={SEED: own}))).state.parameters
        for own in seeds
    ]
    same, *others = ([torch.equal(one[n], learned[0][n]) for n in one] for one in learned[1:])
    assert all(same)
    assert not any(all(other) for other in others)


def test_a_batch_of_no_sampler_is_told():
    with pytest.raises(ValueError, match=r"^extras: expected 'seed', an integer per task, as RolloutSampler"):
        seeds_of(acted(parameters())[0]._replace(extras={}))
