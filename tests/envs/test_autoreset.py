"""Automatic resets are Gymnasium's: its SyncVectorEnv over single environments is the reference."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import NormalizeObservation, RecordEpisodeStatistics

from tests.envs.trajectories import random_actions

ENVS, STEPS, HORIZON = 3, 60, 25
# Episodes that end early and by the time limit; a task that acts at resets; no end but the time limit.
IDS = ["metarl/Walker2DDir-v0", "metarl/HopperRandParams-v0", "metarl/HalfCheetahVel-v0"]


def native(env_id, mode):
    return gymnasium.make_vec(
        env_id,
        ENVS,
        vectorization_mode="vector_entry_point",
        max_episode_steps=HORIZON,
        autoreset_mode=mode,
    )


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
@pytest.mark.parametrize("env_id", IDS)
def test_equals_gymnasiums_vector_environment(env_id, mode):
    envs = native(env_id, mode)
    copies = [lambda: gymnasium.make(env_id, max_episode_steps=HORIZON)] * ENVS
    reference = SyncVectorEnv(copies, autoreset_mode=mode)
    np.testing.assert_array_equal(envs.reset(seed=4)[0], reference.reset(seed=4)[0])
    ends = 0
    for action in random_actions(envs, STEPS):
        *expected, expected_info = reference.step(action)
        *got, info = envs.step(action)
        for ours, theirs in zip(got, expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        ends += (got[2] | got[3]).sum()
        if "final_obs" in expected_info:
            assert data_equivalence(list(info["final_obs"]), list(expected_info["final_obs"]))
    assert ends > ENVS


def test_next_step_ignores_the_action_that_restarts():
    envs, other = (native(IDS[2], "NextStep") for _ in range(2))
    actions = random_actions(envs, HORIZON + 1)
    for each, last in ((envs, actions[-1]), (other, -actions[-1])):
        each.reset(seed=0)
        for action in actions[:-1]:
            truncated = each.step(action)[3]
        assert truncated.all()
        observation, reward, terminated, truncated, info = each.step(last)
        assert not (terminated | truncated).any()
        assert (reward == 0).all()
        assert info["_task"].all()
        assert not info["_reward_velocity"].any()
        np.testing.assert_array_equal(observation, each.unwrapped.family.observation(each.unwrapped.state))
    np.testing.assert_array_equal(envs.step(actions[0])[0], other.step(actions[0])[0])


def test_gymnasiums_vector_wrappers_that_want_next_step():
    envs = NormalizeObservation(RecordEpisodeStatistics(native(IDS[2], "NextStep")))
    envs.reset(seed=0)
    infos = [envs.step(action)[-1] for action in random_actions(envs, HORIZON)]
    assert infos[-1]["episode"]["l"].tolist() == [HORIZON] * ENVS
