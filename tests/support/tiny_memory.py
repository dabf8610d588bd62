"""Tiny learners with memory, and walks that sample for them."""

import numpy as np
import torch
from metarl_envs.foreign.foreign_vector_env import ForeignVectorEnv

from metarl.adaptation.meta_batch import collect_meta_batch
from metarl.adaptation.walk import Walk
from metarl.compute.task_map import TaskMap
from metarl.meta_learners.registry import META_LEARNERS
from metarl.policies.belief import BeliefPolicy
from metarl.policies.posterior import PosteriorPolicy
from metarl.policies.recurrent import GruPolicy
from metarl.policies.squashed_gru import SquashedGruPolicy
from metarl.rollouts.advantages import AdvantageConfig
from metarl.rollouts.sampler import RolloutSampler
from tests.support.tiny_envs import Echo

GOALS, EPISODES, HORIZON = [-1.0, 0.5, 1.5, -0.4], 3, 5
POLICIES = {
    "rl2": GruPolicy(3, 2, hidden_size=5, head_sizes=(4,)),
    "varibad": BeliefPolicy(3, 2, hidden_size=5, latent_size=2, head_sizes=(4,)),
    "pearl": PosteriorPolicy(3, 2, latent_size=2, encoder_sizes=(6,), hidden_sizes=(7,)),
    "recurrent_sac": SquashedGruPolicy(3, 2, hidden_size=5, hidden_sizes=(7,)),
}
PPO = {"epochs": 2, "value_sizes": (4,), "learning_rate": 1e-2}
BELIEFS = {"decoder_sizes": (4,), "decodes_states": True, "prefixes": 0, "decodes": 4, "belief_trials": 2}
SETTINGS = {
    "rl2": {"minibatches": 3, **PPO},
    "varibad": {"minibatches": 2, **PPO, **BELIEFS},
    "pearl": {"critic_sizes": (5,), "replay_ratio": 0.1, "meta_batch": 3, "batch_size": 8},
    "recurrent_sac": {
        "critic_sizes": (5,),
        "critic_hidden_size": 4,
        "replay_ratio": 0.1,
        "meta_batch": 3,
    },
}


def memory_learner(name, task_map=None, **settings):
    registered = META_LEARNERS[name]
    config = registered.config(**{**SETTINGS[name], **settings})
    return registered.build(POLICIES[name], config, task_map or TaskMap(2, 1))


def sampled(learner, parameters, key, chosen=slice(4)):
    """A meta-batch of trials of some of the tasks."""
    tasks = range(len(GOALS))[chosen]
    sampler = RolloutSampler(
        ForeignVectorEnv(Echo, len(tasks), "sync"),
        learner.policy,
        episodes_per_task=EPISODES,
        horizon=HORIZON,
        device=torch.device("cpu"),
        first_task=tasks[0],
    )
    walk = Walk(sampler, learner, AdvantageConfig(), TaskMap(2, 1))
    return collect_meta_batch(walk, parameters, {"goal": np.array(GOALS[chosen])}, key).batch
