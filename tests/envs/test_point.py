import gymnasium
import numpy as np
import pytest
from metarl_envs.families.point import PointSimulation

from tests.support.trajectories import existing_presets

POINT = "metarl/PointNavigation-v0"


def started(goals=((0.3, 0.3),), **options):
    """One environment a goal, at the origin."""
    envs = gymnasium.make_vec(POINT, num_envs=len(goals), autoreset_mode="Disabled", **options)
    observation, _ = envs.reset(seed=0, options={"tasks": {"goal": np.array(goals)}})
    np.testing.assert_array_equal(observation, np.zeros((len(goals), 2)))
    return envs


def moved(envs, *displacements):
    """The last step's return after these displacements, of every environment alike."""
    for displacement in displacements:
        action = np.tile(np.asarray(displacement) / 0.1, (envs.num_envs, 1))
        result = envs.step(action)
    return result


def test_positions_add_up_the_displacements():
    observation = moved(started(), (0.1, -0.05), (0.02, -0.05), (-0.1, 0.0))[0]
    np.testing.assert_allclose(observation, [[0.02, -0.1]], atol=1e-15)


def test_reward_is_minus_the_distance_to_the_goal_after_the_move():
    envs = started([(0.3, 0.4), (-0.5, 0.0), (0.1, 0.1)])
    _, reward, _, _, info = moved(envs, (0.1, 0.1))
    np.testing.assert_allclose(reward, [-np.hypot(0.2, 0.3), -np.hypot(0.6, 0.1), 0.0], atol=1e-15)
    np.testing.assert_array_equal(info["reward_distance"], reward)


@pytest.mark.parametrize(("action_scale", "action"), [(1.0, 1.0), (1.0, 7.0), (10.0, 10.0), (10.0, 99.0)])
def test_a_step_is_at_most_a_tenth_an_axis(action_scale, action):
    envs = started(action_scale=action_scale)
    observation = envs.step(np.array([[action, -action]]))[0]
    np.testing.assert_allclose(observation, [[0.1, -0.1]], rtol=1e-15)


def test_action_scale_10_divides_actions_by_10():
    observation = started(action_scale=10.0).step(np.array([[1.0, 5.0]]))[0]
    np.testing.assert_allclose(observation, [[0.01, 0.05]], rtol=1e-15)


def test_goals_fill_the_square():
    goals = gymnasium.make(POINT).unwrapped.task_space.sample(3000, np.random.default_rng(0))["goal"]
    np.testing.assert_allclose(goals.min(0), -0.5, atol=0.01)
    np.testing.assert_allclose(goals.max(0), 0.5, atol=0.01)
    np.testing.assert_allclose(goals.mean(0), 0.0, atol=0.02)


NEAR, ONE_AXIS_OFF, BELOW_IN_SUM = (0.109, 0.091), (0.109, 0.111), (0.1, 0.1101)


@pytest.mark.parametrize(
    ("options", "terminates"),
    [
        ({}, False),
        ({"terminate_at_goal": False}, False),
        ({"terminate_at_goal": True}, True),
        ({"preset": "maml"}, True),
        ({"preset": "maml", "terminate_at_goal": False}, False),
    ],
    ids=str,
)
def test_terminates_at_the_goal_only_when_asked_to(options, terminates):
    envs = started([NEAR, ONE_AXIS_OFF, BELOW_IN_SUM], **options)
    _, _, terminated, truncated, info = moved(envs, (0.1, 0.1))
    assert terminated.tolist() == [terminates, False, False]
    assert info["success"].tolist() == [1.0, 0.0, 0.0]
    assert not truncated.any()


def test_the_goal_is_what_ends_an_episode_and_not_the_origin():
    _, _, terminated, _, _ = moved(started([(0.3, 0.3)], preset="maml"), (0.0, 0.0))
    assert not terminated.any()


def test_a_terminated_point_stays_while_others_go_on():
    envs = started([(0.1, 0.1), (0.3, 0.3)], preset="maml")
    moved(envs, (0.1, 0.1))
    observation, reward, terminated, _, info = moved(envs, (0.05, 0.05))
    np.testing.assert_allclose(observation, [[0.1, 0.1], [0.15, 0.15]])
    assert reward[0] == 0
    assert reward[1] < 0
    assert terminated.tolist() == [True, False]
    assert info["_reward_distance"].tolist() == [False, True]


def test_a_point_that_leaves_the_goal_is_told_so():
    envs = started([(0.1, 0.1)])
    told = [moved(envs, (0.05, 0.05))[4]["success"][0] for _ in range(3)]
    assert told == [0.0, 1.0, 0.0]


def test_a_single_environment_ends_with_termination_and_not_truncation():
    env = gymnasium.make(POINT, preset="maml")
    env.reset(seed=0, options={"task": {"goal": (0.1, 0.1)}})
    _, reward, terminated, truncated, _ = env.step(np.ones(2, np.float32))
    assert (terminated, truncated) == (True, False)
    assert reward == pytest.approx(0.0)


def test_presets_and_horizon():
    assert existing_presets(POINT) == ["maml"]
    assert gymnasium.spec(POINT).max_episode_steps == 100


def test_states_are_copies():
    simulation = PointSimulation(2)
    state = simulation.state()
    simulation.step(np.ones((2, 2)), np.ones(2, bool))
    np.testing.assert_array_equal(state.qpos, 0)
    np.testing.assert_array_equal(simulation.state().qpos, 1)
