"""The hopper family, against a plain simulation and the formulas of rand_param_envs written out."""

import numpy as np
import pytest

from tests.support.slow_simulation import assert_rewarded, episode, gymnasium_asset, simulate, started

HOPPER, SEED, STEPS, GENTLY = "metarl/HopperRandParams-v0", 11, 60, 0.1


@pytest.mark.parametrize("options", [{}, {"preset": "pearl"}], ids=str)
def test_definition(options):
    """With all multipliers 1, the default task; a step as long as the original's 4 of 0.004 s."""
    trajectory, controls = episode(HOPPER, None, STEPS, strength=GENTLY, seed=SEED, **options)
    model = gymnasium_asset("hopper.xml")
    steps = list(simulate(model, started(model, SEED, 0.005, 0.005), controls, frame_skip=8))
    expected = [np.concatenate((step.qpos[1:], np.clip(step.qvel, -10, 10))) for step in steps]
    np.testing.assert_array_equal(trajectory["observation"][1:], expected)
    terms = {
        "reward_forward": [(step.qpos[0] - step.qpos_before[0]) / 0.016 for step in steps],
        "reward_healthy": [1.0] * len(steps),
        "reward_control": [-1e-3 * np.square(step.control).sum() for step in steps],
    }
    assert_rewarded(trajectory, terms)
    fallen = [not (step.qpos[1] > 0.7 and abs(step.qpos[2]) < 0.2) for step in steps]
    np.testing.assert_array_equal(trajectory["terminated"], fallen)
    assert trajectory["terminated"].sum() == 1
    assert len(steps) > 15


def test_physics_are_gymnasiums_bit_for_bit():
    options = {"frame_skip": 8, "reset_noise_scale": 0.005}
    gymnasiums, _ = episode("Hopper-v5", None, STEPS, strength=GENTLY, seed=SEED, **options)
    ours, _ = episode(HOPPER, None, STEPS, strength=GENTLY, seed=SEED)
    n = min(len(ours["observation"]), len(gymnasiums["observation"]))
    assert n > 15
    np.testing.assert_array_equal(ours["observation"][:n], gymnasiums["observation"][:n])
