"""The swimmer family, against a plain simulation and ProMP's formula with its sign mended."""

import gymnasium
import numpy as np
import pytest

from tests.support.slow_simulation import assert_rewarded, episode, gymnasium_asset, simulate, started

SWIMMER, SEED, STEPS = "metarl/SwimmerVel-v0", 11, 60


@pytest.mark.parametrize("options", [{}, {"preset": "promp"}], ids=str)
@pytest.mark.parametrize("velocity", [0.1, 0.17])
def test_definition(options, velocity):
    trajectory, controls = episode(SWIMMER, {"velocity": velocity}, STEPS, seed=SEED, **options)
    model = gymnasium_asset("swimmer.xml")
    steps = list(simulate(model, started(model, SEED, 0.1, 0.1), controls, frame_skip=4))
    expected = [np.concatenate((step.qpos[2:], step.qvel)) for step in steps]
    np.testing.assert_array_equal(trajectory["observation"][1:], expected)
    error = [abs((step.qpos[0] - step.qpos_before[0]) / 0.04 - velocity) for step in steps]
    control = [-0.0001 * np.square(step.control).sum() for step in steps]
    assert_rewarded(trajectory, {"reward_velocity": np.negative(error), "reward_control": control})
    assert len(steps) == STEPS


def test_physics_are_gymnasiums_bit_for_bit():
    ours, gymnasiums = (
        episode(env_id, None, STEPS, seed=SEED)[0]["observation"] for env_id in (SWIMMER, "Swimmer-v5")
    )
    np.testing.assert_array_equal(ours, gymnasiums)


def test_commanded_velocities():
    env = gymnasium.make(SWIMMER).unwrapped
    velocities = env.task_space.sample(2000, np.random.default_rng(0))["velocity"]
    np.testing.assert_allclose([velocities.min(), velocities.max()], [0.1, 0.2], atol=1e-3)
    with pytest.raises(ValueError, match="task 'velocity': expected a value in"):
        env.set_task({"velocity": 0.21})
