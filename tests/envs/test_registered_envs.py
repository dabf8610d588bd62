"""What every registered environment and preset is: a Gymnasium environment, single and in a batch alike."""

from dataclasses import replace

import cloudpickle
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check_env
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode
from metarl_envs import TaskEnv, VectorTaskEnv
from metarl_envs.family import never_terminated
from stable_baselines3.common.env_checker import check_env as sb3_check_env

from tests.support.trajectories import CASES, assert_same, first_end, of_envs, play, random_actions

pytestmark = pytest.mark.parametrize("case", CASES, ids=str)
infinite_box = pytest.mark.filterwarnings(
    "ignore:.*A Box observation space (minimum|maximum) value is -?infinity:UserWarning"
)


@infinite_box
def test_gymnasiums_checker_passes(case):
    gymnasium_check_env(case.make().unwrapped, skip_render_check=True)


@infinite_box
def test_stable_baselines3s_checker_passes(case):
    sb3_check_env(case.make())


def test_make_gives_the_single_environment(case):
    env = case.make(action_scale=10.0)
    assert isinstance(env.unwrapped, TaskEnv)
    assert (env.action_space.low == -10).all()
    assert (env.action_space.high == 10).all()


def test_make_vec_gives_the_native_batch(case):
    envs = case.make_vec(5, action_scale=10.0)
    assert isinstance(envs.unwrapped, VectorTaskEnv)
    assert (envs.single_action_space.low == -10).all()
    assert (envs.single_action_space.high == 10).all()
    assert envs.metadata["autoreset_mode"] is AutoresetMode.DISABLED


def test_the_seed_determines_the_episode_and_the_sampled_tasks(case):
    actions = random_actions(case.make_vec(), 20)
    first, second = case.make_vec(), case.make_vec()
    expected = play(first, actions, seed=3)
    play(second, actions, seed=4)
    assert_same(play(second, actions, seed=3), expected)
    assert data_equivalence(second.unwrapped.sample_tasks(9), first.unwrapped.sample_tasks(9), exact=True)


def test_single_environment_equals_its_place_in_the_batch(case):
    """Observations, flags and all that info tells, to the end of the episode or for 40 steps."""
    envs, tasks = case.make_vec(3), case.tasks(3)
    actions = random_actions(envs, min(40, envs.spec.max_episode_steps))
    batch = play(envs, actions, seed=5, options={"tasks": tasks})
    for i, (task, end) in enumerate(zip(tasks, first_end(batch), strict=True)):
        expected = of_envs(batch, i)
        single = play(case.make(), actions[: end + 1, i], seed=5 + i, options={"task": task})
        assert_same(single, {name: values[: len(single[name])] for name, values in expected.items()})


def test_results_do_not_depend_on_the_number_of_threads(case):
    actions = random_actions(case.make_vec(5), 15)
    one, *others = (play(case.make_vec(5, num_threads=n), actions, seed=1) for n in (1, 2, 3))
    for other in others:
        assert_same(other, one)


def test_subset_reset_starts_a_fresh_trajectory_and_disturbs_no_other(case):
    envs, undisturbed, fresh = (case.make_vec(4) for _ in range(3))
    before, after = random_actions(envs, 10), random_actions(envs, 10, seed=1)
    mask, seeds = np.array([True, False, True, False]), [21, 22, 23, 24]
    for each in (envs, undisturbed):
        last = play(each, before, seed=1)["observation"][-1]
    fresh.reset(seed=seeds)
    observation, info = envs.reset(seed=seeds, options={"reset_mask": mask})
    np.testing.assert_array_equal(info["_task"], mask)
    results, expected_kept, expected_fresh = (play(each, after) for each in (envs, undisturbed, fresh))
    assert_same(of_envs(results, ~mask), of_envs(expected_kept, ~mask))
    assert_same(of_envs(results, mask), of_envs(expected_fresh, mask))
    np.testing.assert_array_equal(observation[~mask], last[~mask])
    np.testing.assert_array_equal(envs.reset()[0][~mask], undisturbed.reset()[0][~mask])


def test_finished_environments_are_held(case):
    envs, undisturbed = (case.make_vec(3, max_episode_steps=5) for _ in range(2))
    actions = random_actions(envs, 12)
    for each in (envs, undisturbed):
        play(each, actions[:3], seed=0)
    envs.reset(options={"reset_mask": np.array([False, True, False])})
    results = play(envs, actions[3:])
    ends = first_end(results)
    assert (ends <= [1, 4, 1]).all()
    truncated_at_the_limit = results["truncated"].any(0) == (ends == [1, 4, 1])
    assert (truncated_at_the_limit | results["terminated"].any(0)).all()
    for env, end in enumerate(ends):
        held = of_envs(results, env)
        for name in ("observation", "terminated", "truncated"):
            assert (held[name][end:] == held[name][end]).all()
        rewards = [values for name, values in held.items() if name.startswith("reward")]
        assert all((values[end + 1 :] == 0).all() for values in rewards)


def test_same_step_autoreset_gives_the_final_observation_and_the_next_start(case):
    """The same episodes as those of a batch that its user resets."""
    envs, held = (case.make_vec(4, max_episode_steps=5, autoreset_mode=m) for m in ("SameStep", "Disabled"))
    envs.reset(seed=0)
    held.reset(seed=0)
    for action in random_actions(envs, 15):
        observation, reward, terminated, truncated, info = envs.step(action)
        last, *expected, _ = held.step(action)
        assert data_equivalence([reward, terminated, truncated], expected, exact=True)
        finished = terminated | truncated
        assert ("final_obs" in info) == finished.any()
        if finished.any():
            np.testing.assert_array_equal(info["_final_obs"], finished)
            np.testing.assert_array_equal(np.stack(info["final_obs"][finished]), last[finished])
            assert data_equivalence(info["final_info"]["task"], info["task"])
            last = held.reset(options={"reset_mask": finished})[0]
        np.testing.assert_array_equal(observation, last)


@pytest.mark.parametrize("horizon", [1, 7])
def test_truncated_exactly_at_max_episode_steps(case, horizon):
    envs, env = (make(max_episode_steps=horizon) for make in (case.make_vec, case.make))
    envs.unwrapped.family = replace(envs.unwrapped.family, terminated=never_terminated)
    actions = np.zeros((horizon, *envs.action_space.shape), np.float32)
    assert play(envs, actions, seed=0)["truncated"].sum(0).tolist() == [1, 1, 1]
    assert play(env, actions[:, 0], seed=0)["truncated"].sum() == 1
    assert envs.step(actions[0])[3].all()


def test_pickles_before_first_use(case):
    actions = random_actions(case.make_vec(), 5)
    for envs, played in ((case.make_vec(), actions), (case.make(), actions[:, 0])):
        copied = cloudpickle.loads(cloudpickle.dumps(envs))
        assert_same(play(copied, played, seed=0), play(envs, played, seed=0))
