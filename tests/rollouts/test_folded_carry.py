"""What a sampler carries is what a policy's own steps make of the recorded rollout, to the bit."""

import numpy as np
import pytest
import torch
from metarl_envs.foreign.foreign_vector_env import ForeignVectorEnv

from metarl.math.parameters import repeat
from metarl.policies.policy import TaskState, Transition
from metarl.policies.registry import find_policy
from metarl.rollouts.random_keys import BEGINNINGS
from metarl.rollouts.rollout import next_observations
from metarl.rollouts.sampler import RolloutSampler, lanes_of
from tests.support.tiny_envs import Echo

KEY, EPISODES, HORIZON, GOALS = (3, 1, 4), 3, 5, np.array([-3.0, 0.5])
POLICIES = {
    "gru": {"hidden_size": 6, "head_sizes": [5]},
    "belief": {"hidden_size": 6, "head_sizes": [5]},
    "posterior": {"encoder_sizes": [5], "hidden_sizes": [4]},
    "squashed_gru": {"hidden_size": 6, "hidden_sizes": [5]},
}


@pytest.mark.parametrize("name", POLICIES)
def test_a_rollout_folded_step_by_step_is_the_samplers_carry(name):
    policy = find_policy(name)(observation_size=3, action_size=2, **POLICIES[name])
    parameters = repeat(policy.initial_parameters(torch.Generator().manual_seed(2)), len(GOALS))
    envs = ForeignVectorEnv(Echo, len(GOALS) * lanes_of(policy, EPISODES), "sync")
    sampler = RolloutSampler(
        envs, policy, episodes_per_task=EPISODES, horizon=HORIZON, device=torch.device("cpu")
    )
    rollout = sampler.collect(TaskState(parameters), {"goal": GOALS}, KEY)
    assert not rollout.valid.all()
    with torch.no_grad():
        folded = fold(policy, parameters, rollout)
    assert set(folded) == set(rollout.carry)
    for part, value in rollout.carry.items():
        assert torch.equal(folded[part], value), part
    begun = policy.begin_trial(parameters, len(GOALS), 1)
    assert any(not torch.equal(begun[part], value) for part, value in rollout.carry.items())


def fold(policy, parameters, rollout):
    """begin_trial, and of every episode begin_episode and, of valid steps alone, act and observe."""
    carry, after = policy.begin_trial(parameters, len(GOALS), 1), next_observations(rollout)
    noise = [
        np.random.default_rng(np.random.SeedSequence([*KEY, task, BEGINNINGS])).standard_normal(
            (EPISODES, policy.episode_noise_size), dtype=np.float32
        )
        for task in range(len(GOALS))
    ]
    for episode in range(EPISODES):
        begins = torch.from_numpy(np.stack([one[episode] for one in noise]))[:, None]
        carry = policy.begin_episode(parameters, carry, begins)
        for t in range(rollout.valid.shape[2]):
            at = (slice(None), slice(episode, episode + 1), t)
            valid = rollout.valid[at]
            ends = valid & ~(rollout.valid[:, episode : episode + 1, t + 1] if t + 1 < HORIZON else False)
            _, acted = policy.act(parameters, carry, rollout.observations[at])
            step = Transition(
                rollout.observations[at],
                rollout.actions[at],
                rollout.rewards[at],
                after[at],
                ends & rollout.terminated[:, episode : episode + 1],
                ends,
            )
            seen = policy.observe(parameters, acted, step)
            carry = {
                part: torch.where(valid.view(*valid.shape, *[1] * (value.ndim - 2)), value, carry[part])
                for part, value in seen.items()
            }
    return carry
