"""What holds for every registered environment and preset."""

import copy

import cloudpickle
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check_env
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode
from metarl_envs import TaskEnv, VectorTaskEnv, stack_tasks
from stable_baselines3.common.env_checker import check_env as sb3_check_env

from tests.envs.trajectories import CASES, assert_same, fill, of_envs, play, random_actions, reward_terms

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
    observation, _ = envs.reset(seed=0)
    assert observation.dtype == np.float64
    assert envs.observation_space.contains(observation)


def test_the_seed_determines_the_episode_and_the_sampled_tasks(case):
    actions = random_actions(case.make_vec(), 20)
    first, second = case.make_vec(), case.make_vec()
    expected = play(first, actions, seed=3)
    play(second, actions, seed=4)
    assert_same(play(second, actions, seed=3), expected)
    assert data_equivalence(second.unwrapped.sample_tasks(9), first.unwrapped.sample_tasks(9), exact=True)


def test_single_environment_equals_its_place_in_the_batch(case):
    envs, tasks = case.make_vec(3), case.tasks(3)
    actions = random_actions(envs, envs.spec.max_episode_steps)
    batch = play(envs, actions, seed=5, options={"tasks": tasks})
    for i, task in enumerate(tasks):
        expected = of_envs(batch, i)
        length = 1 + np.argmax(expected["terminated"] | expected["truncated"])
        single = play(case.make(), actions[:length, i], seed=5 + i, options={"task": task})
        assert_same(single, {name: values[: len(single[name])] for name, values in expected.items()})


def test_results_do_not_depend_on_the_number_of_threads(case):
    actions = random_actions(case.make_vec(7), 50)
    one, *others = (play(case.make_vec(7, num_threads=n), actions, seed=1) for n in (1, 2, 3))
    for other in others:
        assert_same(other, one)


def test_subset_reset_starts_a_fresh_trajectory_and_disturbs_no_other(case):
    envs, undisturbed, fresh = (case.make_vec(4) for _ in range(3))
    before, after = random_actions(envs, 10), random_actions(envs, 10, seed=1)
    mask, seeds = np.array([True, False, True, False]), [21, 22, 23, 24]
    for each in (envs, undisturbed):
        play(each, before, seed=1)
    fresh.reset(seed=seeds)
    observation, info = envs.reset(seed=seeds, options={"reset_mask": mask})
    np.testing.assert_array_equal(info["_task"], mask)
    results, expected_kept, expected_fresh = (play(each, after) for each in (envs, undisturbed, fresh))
    assert_same(of_envs(results, ~mask), of_envs(expected_kept, ~mask))
    assert_same(of_envs(results, mask), of_envs(expected_fresh, mask))
    last = play(case.make_vec(4), before, seed=1)["observation"][-1]
    np.testing.assert_array_equal(observation[~mask], last[~mask])
    np.testing.assert_array_equal(envs.reset()[0][~mask], undisturbed.reset()[0][~mask])


def test_a_new_task_changes_the_next_steps_reward(case):
    envs, old, new = (case.make_vec(4) for _ in range(3))
    first, second = (case.tasks(1, seed) for seed in (0, 1))
    actions = random_actions(envs, 4)
    with_first = play(old, actions, seed=0, options={"tasks": first * 4})["reward"]
    with_second = play(new, actions, seed=0, options={"tasks": second * 4})["reward"]
    assert (with_first != with_second).all()
    before = play(envs, actions[:2], seed=0, options={"tasks": first * 4})["reward"]
    envs.unwrapped.set_tasks(second * 4)
    after = play(envs, actions[2:])["reward"]
    np.testing.assert_array_equal(before, with_first[:2])
    np.testing.assert_array_equal(after, with_second[2:])


def test_tasks_are_told_and_kept_by_value(case):
    envs, tasks = case.make_vec(3).unwrapped, case.tasks(3)
    given, expected = stack_tasks(tasks), stack_tasks(tasks)
    _, info = envs.reset(seed=0, options={"tasks": given})
    for told in (given, info["task"], envs.get_tasks()):
        assert data_equivalence(told, expected)
        fill(told, 0.0)
    env = case.make().unwrapped
    env.set_task(tasks[1])
    assert data_equivalence(env.get_task(), tasks[1])
    assert data_equivalence(env.reset(seed=0)[1]["task"], tasks[1])
    assert data_equivalence(envs.step(random_actions(envs, 1)[0])[-1]["task"], expected)


@pytest.mark.parametrize("autoreset_mode", ["Disabled", "SameStep"])
def test_returned_arrays_are_the_callers(case, autoreset_mode):
    """Overwriting them changes nothing later, and nothing later changes them."""
    actions = random_actions(case.make_vec(), 9)
    kept, overwritten = (case.make_vec(max_episode_steps=4, autoreset_mode=autoreset_mode) for _ in range(2))
    expected = [kept.reset(seed=0), *map(kept.step, actions)]
    snapshot = copy.deepcopy(expected)
    given = actions.copy()
    for t, (reference, when_told) in enumerate(zip(expected, snapshot, strict=True)):
        result = overwritten.reset(seed=0) if t == 0 else overwritten.step(given[t - 1])
        assert data_equivalence(result, reference, exact=True)
        assert data_equivalence(reference, when_told, exact=True)
        fill(result, 77)
        fill(given[:t], 77)


def test_reward_is_the_sum_of_its_named_terms(case):
    envs = case.make_vec(4)
    envs.reset(seed=0, options={"tasks": case.tasks(4)})
    for action in random_actions(envs, 10):
        _, reward, _, _, info = envs.step(action)
        terms = reward_terms(info)
        assert terms
        np.testing.assert_allclose(reward, sum(terms.values()), rtol=1e-14)
        assert all(info[f"_{name}"].all() for name in terms)


def test_finished_environments_are_held(case):
    envs = case.make_vec(3, max_episode_steps=5)
    actions = random_actions(envs, 12)
    play(envs, actions[:3], seed=0)
    envs.reset(options={"reset_mask": np.array([False, True, False])})
    results = play(envs, actions[3:])
    np.testing.assert_array_equal(results["truncated"][:, 0], np.arange(9) >= 1)
    np.testing.assert_array_equal(results["truncated"][:, 1], np.arange(9) >= 4)
    for env, end in enumerate((1, 4, 1)):
        held = of_envs(results, env)
        assert (held["observation"][end:] == held["observation"][end]).all()
        assert all((held[name][end + 1 :] == 0).all() for name in ("reward", *reward_terms(held)))
        assert not held["terminated"].any()


def test_same_step_autoreset_gives_the_final_observation_and_the_next_start(case):
    envs, held = (case.make_vec(max_episode_steps=5, autoreset_mode=m) for m in ("SameStep", "Disabled"))
    actions = random_actions(envs, 5)
    expected = play(held, actions, seed=0)
    envs.reset(seed=0)
    for action in actions[:4]:
        assert "final_obs" not in envs.step(action)[-1]
    observation, reward, _, truncated, info = envs.step(actions[4])
    assert truncated.all()
    assert info["_final_obs"].all()
    np.testing.assert_array_equal(reward, expected["reward"][4])
    np.testing.assert_array_equal(np.stack(info["final_obs"]), expected["observation"][5])
    assert data_equivalence(info["final_info"]["task"], info["task"])
    np.testing.assert_array_equal(observation, held.reset()[0])
    assert_same(play(envs, actions[:4]), play(held, actions[:4]))


@pytest.mark.parametrize("horizon", [1, 7, None])
def test_truncated_exactly_at_max_episode_steps(case, horizon):
    """None asks for the registered one."""
    options = {"max_episode_steps": horizon} if horizon else {}
    envs, env = case.make_vec(2, **options), case.make(**options)
    last = horizon or envs.spec.max_episode_steps
    actions = np.zeros((last, *envs.action_space.shape), np.float32)
    assert play(envs, actions, seed=0)["truncated"].sum(0).tolist() == [1, 1]
    assert play(env, actions[:, 0], seed=0)["truncated"].sum() == 1
    assert envs.step(actions[0])[3].all()


def test_pickles_before_first_use(case):
    actions = random_actions(case.make_vec(), 5)
    for envs, played in ((case.make_vec(), actions), (case.make(), actions[:, 0])):
        copied = cloudpickle.loads(cloudpickle.dumps(envs))
        assert_same(play(copied, played, seed=0), play(envs, played, seed=0))
