"""Two machines with some of the tasks each learn, with memory, what one learns with all of them."""

import numpy as np
import pytest
import torch
from metarl_envs.foreign.foreign_vector_env import ForeignVectorEnv

from metarl.adaptation.meta_batch import collect_meta_batch
from metarl.adaptation.walk import Walk
from metarl.compute.task_map import Reduction, TaskMap
from metarl.meta_learners.pearl import PearlConfig, pearl
from metarl.meta_learners.rl2 import Rl2Config, rl2
from metarl.meta_learners.varibad import VaribadConfig, varibad
from metarl.policies.belief import BeliefPolicy
from metarl.policies.posterior import PosteriorPolicy
from metarl.policies.recurrent import GruPolicy
from metarl.rollouts.advantages import AdvantageConfig
from metarl.rollouts.rollout import SEED, MetaBatch, seeds_of, with_slots
from metarl.rollouts.sampler import RolloutSampler
from tests.support.ranks import Exchange
from tests.support.tiny import tiny_state
from tests.support.tiny_beliefs import acted, parameters
from tests.support.tiny_envs import Echo

GOALS, SLOTS, KEY = [-1.0, 0.5, 1.5, -0.4], [[5, 0, 2, 7], [2, 5, 1, 0]], (3, 1, 4)
EPISODES, HORIZON, SIZES = 3, 5, {"epochs": 2, "value_sizes": (4,), "learning_rate": 1e-2}
BELIEFS = {"decoder_sizes": (4,), "belief_updates": 3, "decodes_states": True, "prefixes": 0, "decodes": 4}


def learner(name, task_map):
    policies = {
        "rl2": GruPolicy(3, 2, hidden_size=5, head_sizes=(4,)),
        "varibad": BeliefPolicy(3, 2, hidden_size=5, latent_size=2, head_sizes=(4,)),
        "pearl": PosteriorPolicy(3, 2, latent_size=2, encoder_sizes=(6,), hidden_sizes=(7,)),
    }
    config = {
        "rl2": Rl2Config(minibatches=3, **SIZES),
        "varibad": VaribadConfig(minibatches=2, belief_trials=2, **SIZES, **BELIEFS),
        "pearl": PearlConfig(critic_sizes=(5,), replay_ratio=0.1, meta_batch=3, batch_size=8),
    }
    build = {"rl2": rl2, "varibad": varibad, "pearl": pearl}
    return build[name](policies[name], config[name], task_map)


def walk_of(made, tasks):
    sampler = RolloutSampler(
        ForeignVectorEnv(Echo, len(tasks), "sync"),
        made.policy,
        episodes_per_task=EPISODES,
        horizon=HORIZON,
        device=torch.device("cpu"),
        first_task=tasks[0],
    )
    return Walk(sampler, made, AdvantageConfig(), TaskMap(2, 1))


def updated(name, chosen, reduction):
    """Two iterations with some of the tasks."""
    made = learner(name, TaskMap(2, 1, reduction))
    walk, state = walk_of(made, range(4)[chosen]), made.start(tiny_state(made))
    for number, slots in enumerate(SLOTS):
        goals = {"goal": np.array(GOALS[chosen])}
        batch = collect_meta_batch(walk, state.parameters, goals, (*KEY, number)).batch
        update = made.update(state, with_slots(batch, torch.tensor(slots[chosen])))
        state = update.state
    return update


@pytest.mark.parametrize("first", [1, 2, 3])
@pytest.mark.parametrize("name", ["rl2", "varibad", "pearl"])
def test_two_machines_learn_what_one_learns(name, first):
    """However many tasks each has: a machine may have none of a minibatch."""
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


@pytest.mark.parametrize("name", ["varibad", "pearl"])
def test_what_a_learner_draws_follows_from_seed_iteration_and_task(name):
    made = learner(name, TaskMap(2, 1))
    walk = walk_of(made, range(4))
    keys = (KEY, KEY, (2, *KEY[1:]), (3, 2, 4))
    batches = [collect_meta_batch(walk, tiny_state(made), {"goal": np.array(GOALS)}, k).batch for k in keys]
    seeds = [seeds_of(batch.query) for batch in batches]
    assert torch.equal(seeds[0], seeds[1])
    assert len(set(torch.cat(seeds[1:]).tolist())) == 12
    state, query = made.start(tiny_state(made)), batches[0].query
    learned = [
        made.update(state, MetaBatch((), query._replace(extras={SEED: own}))).state.parameters
        for own in seeds
    ]
    same, *others = ([torch.equal(one[n], learned[0][n]) for n in one] for one in learned[1:])
    assert all(same)
    assert not any(all(other) for other in others)


def test_a_batch_of_no_sampler_is_told():
    with pytest.raises(ValueError, match=r"^extras: expected 'seed', an integer a task, as RolloutSampler"):
        seeds_of(acted(parameters())[0]._replace(extras={}))
