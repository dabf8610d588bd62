"""The sparse point, against the formulas of oyster's point_robot.py written out."""

import gymnasium
import numpy as np
import pytest

SPARSE = "metarl/SparsePoint-v0"


def oyster(actions, angle):
    """Positions, dense and sparse rewards of one episode, step by step."""
    position, goal = np.zeros(2), np.array([np.cos(angle), np.sin(angle)])
    for action in actions:
        position = position + 0.1 * np.clip(action, -1, 1)
        x, y = position - goal
        dense = -((x**2 + y**2) ** 0.5)
        sparse = dense + 1 if dense >= -0.2 else 0.0
        yield position, dense, sparse


def towards(angle, steps=20):
    """Actions that walk to the goal in ten steps and beyond, shaking."""
    direction = np.array([np.cos(angle), np.sin(angle)])
    return direction + np.random.default_rng(0).normal(scale=0.2, size=(steps, 2))


@pytest.mark.parametrize("options", [{}, {"preset": "pearl"}, {"dense_reward": True}], ids=str)
@pytest.mark.parametrize("angle", [0.0, 0.4, np.pi / 2, np.pi])
def test_definition(options, angle):
    env = gymnasium.make(SPARSE, **options, disable_env_checker=True)
    observation, _ = env.reset(seed=0, options={"task": {"angle": angle}})
    np.testing.assert_array_equal(observation, [0, 0])
    sparse_rewards = 0
    actions = towards(angle)
    for t, (action, (position, dense, sparse)) in enumerate(
        zip(actions, oyster(actions, angle), strict=True)
    ):
        observation, reward, terminated, truncated, info = env.step(action)
        np.testing.assert_allclose(observation, position, atol=1e-14)
        assert info["dense_reward"] == pytest.approx(dense, abs=1e-12)
        assert info["success"] == (sparse > 0)
        name = "reward_distance" if "dense_reward" in options else "reward_goal"
        assert (
            reward == info[name] == pytest.approx(dense if "dense_reward" in options else sparse, abs=1e-12)
        )
        assert (terminated, truncated) == (False, t == 19)
        sparse_rewards += sparse > 0
    assert 1 < sparse_rewards < 19


@pytest.mark.parametrize(("away", "reward"), [(0.0, 1.0), (0.1, 0.9), (0.1999, 0.8001), (0.2001, 0.0)])
def test_the_reward_begins_at_the_radius(away, reward):
    env = gymnasium.make(SPARSE, action_scale=100.0, disable_env_checker=True)
    env.reset(seed=0, options={"task": {"angle": 0.0}})
    for _ in range(9):
        env.step([100.0, 0.0])
    assert env.step([1000 * (0.1 - away), 0.0])[1] == pytest.approx(reward, abs=1e-9)


def test_goals_are_on_the_upper_half_circle():
    angles = gymnasium.make(SPARSE).unwrapped.task_space.sample(3000, np.random.default_rng(0))["angle"]
    np.testing.assert_allclose([angles.min(), angles.max(), angles.mean()], [0, np.pi, np.pi / 2], atol=0.05)
