"""What a task does in every registered environment and preset, and when."""

import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from metarl_envs import read_tasks, stack_tasks, write_tasks

from tests.support.trajectories import CASES, assert_same, fill, of_envs, play, random_actions

PHYSICS = [case for case in CASES if case.family.physics is not None]
every_case = pytest.mark.parametrize("case", CASES, ids=str)
of_the_body = pytest.mark.parametrize("case", PHYSICS, ids=str)
of_the_reward = pytest.mark.parametrize("case", [case for case in CASES if case not in PHYSICS], ids=str)


def what_pays(trajectory):
    """The reward, or where that is sparse what it hides."""
    return trajectory.get("dense_reward", trajectory["reward"])


@of_the_reward
def test_a_new_task_changes_the_next_steps_reward(case):
    envs, old, new = (case.make_vec(4) for _ in range(3))
    first, second = (case.tasks(1, seed) for seed in (0, 1))
    actions = random_actions(envs, 4)
    with_first = what_pays(play(old, actions, seed=0, options={"tasks": first * 4}))
    with_second = what_pays(play(new, actions, seed=0, options={"tasks": second * 4}))
    assert (with_first != with_second).all()
    before = what_pays(play(envs, actions[:2], seed=0, options={"tasks": first * 4}))
    envs.unwrapped.set_tasks(second * 4)
    after = what_pays(play(envs, actions[2:]))
    np.testing.assert_array_equal(before, with_first[:2])
    np.testing.assert_array_equal(after, with_second[2:])


@of_the_reward
def test_a_new_task_is_told_at_the_next_step(case):
    envs, env, (task,) = case.make_vec(2), case.make(), case.tasks(1)
    envs.reset(seed=0)
    env.reset(seed=0)
    envs.unwrapped.set_tasks([task, task])
    env.unwrapped.set_task(task)
    action = random_actions(envs, 1)[0]
    assert data_equivalence(envs.step(action)[-1]["task"], stack_tasks([task, task]))
    assert data_equivalence(env.step(action[0])[-1]["task"], task)


@of_the_body
def test_a_new_body_waits_for_the_reset_of_its_environment(case):
    """In force means simulated and told."""
    envs, old, new = (case.make_vec(3) for _ in range(3))
    first, second = case.tasks(3, seed=0), case.tasks(3, seed=1)
    actions, mask = random_actions(envs, 6), np.array([False, True, False])
    expected = play(old, actions, seed=0, options={"tasks": first})
    before = play(envs, actions[:2], seed=0, options={"tasks": first})
    envs.unwrapped.set_tasks(second)
    assert data_equivalence(envs.unwrapped.get_tasks(), stack_tasks(second))
    still = play(envs, actions[2:4])
    for name in expected:
        played = np.concatenate((before[name], still[name]))
        np.testing.assert_array_equal(played, expected[name][: len(played)], err_msg=name)
    assert data_equivalence(envs.step(actions[4])[-1]["task"], stack_tasks(first))
    in_force = stack_tasks([first[0], second[1], first[2]])
    assert data_equivalence(envs.reset(options={"reset_mask": mask})[1]["task"], in_force)
    assert data_equivalence(envs.step(actions[5])[-1]["task"], in_force)
    envs.reset(seed=[5, 6, 7], options={"reset_mask": mask})
    new.reset(seed=[5, 6, 7], options={"tasks": second})
    assert_same(of_envs(play(envs, actions), mask), of_envs(play(new, actions), mask))
    assert data_equivalence(envs.reset()[1]["task"], stack_tasks(second))


@of_the_body
def test_a_new_body_waits_for_the_reset_of_a_single_environment_too(case):
    env, (first, second) = case.make(), case.tasks(2)
    env.reset(seed=0, options={"task": first})
    env.unwrapped.set_task(second)
    assert data_equivalence(env.unwrapped.get_task(), second)
    assert data_equivalence(env.step(env.action_space.low)[-1]["task"], first)
    assert data_equivalence(env.reset(seed=0)[1]["task"], second)
    assert data_equivalence(env.step(env.action_space.low)[-1]["task"], second)


@of_the_body
def test_every_task_of_the_body_moves_it_differently(case):
    envs = case.make_vec(4)
    actions = random_actions(envs, 5)[:, :1].repeat(4, axis=1)
    options = {"tasks": [*case.tasks(3), case.family.task_space.default]}
    observation = play(envs, actions, seed=[0] * 4, options=options)["observation"]
    assert (observation[0] == observation[0, 0]).all()
    assert len(np.unique(observation[-1], axis=0)) == 4


@every_case
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


@every_case
def test_tasks_survive_packing(case):
    space = case.family.task_space
    tasks = space.sample(20, np.random.default_rng(0))
    packed = space.pack(tasks)
    assert packed.shape == (20, space.pack(stack_tasks([space.default])).shape[1])
    assert np.isfinite(packed).all()
    again = space.unpack(packed)
    assert list(again) == list(tasks)
    for name, values in tasks.items():
        np.testing.assert_allclose(again[name], values, rtol=1e-12, atol=1e-12, err_msg=name)
    space.validate_batch(again, 20)


@every_case
@pytest.mark.parametrize("suffix", ["json", "yaml", "yml"])
def test_tasks_survive_a_file_exactly(case, suffix, tmp_path):
    space = case.family.task_space
    tasks = space.sample(3, np.random.default_rng(0))
    write_tasks(tmp_path / f"tasks.{suffix}", tasks)
    assert data_equivalence(read_tasks(tmp_path / f"tasks.{suffix}", space), tasks, exact=True)


@every_case
def test_training_and_held_out_tasks_are_the_seeds(case):
    """Where there are enough different ones; they are valid."""
    space = case.family.task_space
    if "direction" in space.parameters:
        train, held_out = space.split(1, 1, seed=0)
        assert {train["direction"][0], held_out["direction"][0]} == {-1.0, 1.0}
        return
    train, held_out = space.split(6, 4, seed=3)
    for tasks, n in ((train, 6), (held_out, 4)):
        space.validate_batch(tasks, n)
    assert (
        len(np.unique(space.pack({k: np.concatenate((train[k], held_out[k])) for k in train}), axis=0)) == 10
    )
    assert data_equivalence(space.split(6, 4, seed=3), (train, held_out), exact=True)
    assert not np.isin(space.pack(space.split(6, 4, seed=4)[0]), space.pack(train)).any()
