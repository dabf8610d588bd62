"""The walker families, against a plain simulation and ProMP's formulas written out."""

import gymnasium
import numpy as np
import pytest

from tests.support.slow_simulation import assert_rewarded, episode, gymnasium_asset, simulate, started

SEED, STEPS = 11, 60
MODEL = gymnasium_asset("walker2d.xml")


def played(env_id, task, **options):
    """The trajectory and the reference's steps, whose observations it has bit for bit."""
    trajectory, controls = episode(env_id, task, STEPS, seed=SEED, **options)
    steps = list(simulate(MODEL, started(MODEL, SEED, 0.005, 0.005), controls, frame_skip=8))
    expected = [np.concatenate((step.qpos[1:], np.clip(step.qvel, -10, 10))) for step in steps]
    np.testing.assert_array_equal(trajectory["observation"][1:], expected)
    assert len(steps) > 5
    return trajectory, steps


def forward(step):
    return (step.qpos[0] - step.qpos_before[0]) / 0.016


def shared_terms(steps, healthy):
    control = [-1e-3 * np.square(step.control).sum() for step in steps]
    return {"reward_healthy": [healthy] * len(steps), "reward_control": control}


@pytest.mark.parametrize("options", [{}, {"preset": "promp"}], ids=str)
@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_direction(options, direction):
    trajectory, steps = played("metarl/Walker2DDir-v0", {"direction": direction}, **options)
    moved = [direction * forward(step) for step in steps]
    assert_rewarded(trajectory, {"reward_direction": moved, **shared_terms(steps, 1.0)})


@pytest.mark.parametrize("options", [{}, {"preset": "promp"}], ids=str)
def test_velocity(options):
    trajectory, steps = played("metarl/Walker2DVel-v0", {"velocity": 7.5}, **options)
    error = [abs(forward(step) - 7.5) for step in steps]
    assert_rewarded(trajectory, {"reward_velocity": np.negative(error), **shared_terms(steps, 15.0)})


def test_random_physics_at_rest_is_the_bodys_own():
    """All multipliers 1, the default task; a step as long as the originals' 4 of 0.004 s."""
    trajectory, steps = played("metarl/Walker2DRandParams-v0", None)
    assert_rewarded(trajectory, {"reward_forward": list(map(forward, steps)), **shared_terms(steps, 1.0)})


def test_physics_are_gymnasiums_bit_for_bit():
    options = {"frame_skip": 8, "reset_noise_scale": 0.005}
    gymnasiums, _ = episode("Walker2d-v5", None, STEPS, seed=SEED, **options)
    ours, _ = episode("metarl/Walker2DDir-v0", None, STEPS, seed=SEED)
    np.testing.assert_array_equal(ours["observation"], gymnasiums["observation"])
    np.testing.assert_array_equal(ours["terminated"], gymnasiums["terminated"])


def test_fast_joints_are_observed_clipped():
    envs = gymnasium.make_vec("metarl/Walker2DDir-v0", 4)
    envs.reset(seed=0)
    observations = np.array([envs.step(np.full((4, 6), (-1.0) ** (t // 3)))[0] for t in range(8)])
    assert np.abs(observations[..., 8:]).max() == 10.0


def test_commanded_velocities():
    env = gymnasium.make("metarl/Walker2DVel-v0").unwrapped
    velocities = env.task_space.sample(2000, np.random.default_rng(0))["velocity"]
    np.testing.assert_allclose([velocities.min(), velocities.max()], [0, 10], atol=0.05)
    with pytest.raises(ValueError, match="task 'velocity': expected a value in"):
        env.set_task({"velocity": 10.1})
