"""Automatic resets are Gymnasium's: its SyncVectorEnv over single environments is the reference."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import NormalizeObservation, RecordEpisodeStatistics

from tests.support.trajectories import random_actions

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


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_the_task_in_force_is_told_as_gymnasium_tells_it(mode):
    """A physics task comes into force with the new episode, which SameStep tells beside the old one's end."""
    env_id = IDS[1]
    envs, copies = native(env_id, mode), [lambda: gymnasium.make(env_id, max_episode_steps=3)] * ENVS
    reference = SyncVectorEnv(copies, autoreset_mode=mode)
    envs.unwrapped.max_episode_steps = 3
    for each in (envs, reference):
        each.reset(seed=0)
    tasks = envs.unwrapped.sample_tasks(ENVS)
    envs.unwrapped.set_tasks(tasks)
    for env, task in zip(reference.envs, tasks, strict=True):
        env.unwrapped.set_task(task)
    for action in random_actions(envs, 8):
        info, expected = envs.step(action)[-1], reference.step(action)[-1]
        np.testing.assert_array_equal(info["task"]["body_mass"], expected["task"]["body_mass"])
        if "final_info" in info:
            ended = info["_final_info"]
            told, right = (each["final_info"]["task"]["body_mass"] for each in (info, expected))
            np.testing.assert_array_equal(told[ended], right[ended])
        forward = expected.get("_reward_forward", np.zeros(ENVS, bool))
        np.testing.assert_array_equal(info["_reward_forward"], forward)
        if forward.any():
            np.testing.assert_array_equal(info["reward_forward"], expected["reward_forward"])
    np.testing.assert_array_equal(info["task"]["body_mass"], [task["body_mass"] for task in tasks])


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


def test_the_first_reset_is_of_all_environments():
    envs = native(IDS[2], "Disabled")
    with pytest.raises(ValueError, match="expected the first reset to be of all environments"):
        envs.reset(seed=0, options={"reset_mask": np.array([True, False, False])})


def test_misspelt_reset_options():
    with pytest.raises(ValueError, match=r"expected reset options among \['reset_mask'.*got \['taks'\]"):
        native(IDS[2], "Disabled").reset(options={"taks": []})


@pytest.mark.parametrize("seed", [5, [5, 6, 7]])
def test_sampled_tasks_follow_from_the_seed_and_leave_the_starts_alone(seed):
    envs, env = native(IDS[2], "Disabled"), gymnasium.make(IDS[2])
    start, _ = envs.reset(seed=seed)
    assert env.reset(seed=5)[0].tolist() == start[0].tolist()
    assert env.unwrapped.sample_tasks(4) == envs.unwrapped.sample_tasks(4)
    np.testing.assert_array_equal(env.reset()[0], envs.reset()[0][0])
