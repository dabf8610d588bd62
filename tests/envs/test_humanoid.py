"""The humanoid family, against a plain simulation and ProMP's formulas written out."""

import gymnasium
import mujoco
import numpy as np
import pytest
from metarl_envs import State

from tests.support.slow_simulation import (
    assert_rewarded,
    episode,
    gymnasium_asset,
    mass_centre,
    simulate,
    started,
)

STEPS, SEED = 40, 11
HUMANOID, HEADING = "metarl/HumanoidDir2D-v0", 2.0
MODEL = gymnasium_asset("humanoid.xml")


def expected_observation(step):
    now, force = step.after, step.last_substep
    return np.concatenate(
        (
            step.qpos[2:],
            step.qvel,
            now.cinert[1:].flat,
            now.cvel[1:].flat,
            force.qfrc_actuator[6:],
            force.cfrc_ext[1:].flat,
        )
    )


@pytest.fixture(scope="module", params=[None, "promp", "pearl"], ids=str)
def played(request):
    """Preset, trajectory and the reference's steps."""
    options = {"preset": request.param} if request.param else {}
    task = {"heading": HEADING}
    trajectory, controls = episode(HUMANOID, task, STEPS, full_control=0.4, seed=SEED, **options)
    steps = list(simulate(MODEL, started(MODEL, SEED, 0.01, 0.01), controls, frame_skip=5))
    assert len(steps) > 15
    return request.param, trajectory, steps


def test_observations(played):
    """Bodies where they are now, forces as they acted in the last physics step; bit for bit."""
    _, trajectory, steps = played
    np.testing.assert_array_equal(trajectory["observation"][1:], [expected_observation(s) for s in steps])


def test_reward(played):
    preset, trajectory, steps = played
    direction = np.array([np.cos(HEADING), np.sin(HEADING)])
    moved = [mass_centre(MODEL, step.after) - mass_centre(MODEL, step.before) for step in steps]
    terms = {
        "reward_heading": [0.25 * np.sum(direction * move) / 0.003 for move in moved],
        "reward_healthy": [5.0] * len(steps),
        "reward_control": [-0.1 * np.square(step.control).sum() for step in steps],
    }
    if preset != "pearl":
        impact = [0.5e-6 * np.square(step.last_substep.cfrc_ext).sum() for step in steps]
        terms["reward_contact"] = [-min(cost, 10) for cost in impact]
        assert max(impact) > 1e-3
    assert_rewarded(trajectory, terms)


def test_it_ends_when_it_falls(played):
    _, trajectory, steps = played
    height = np.array([step.qpos[2] for step in steps])
    np.testing.assert_array_equal(trajectory["terminated"], (height < 1.0) | (height > 2.0))
    assert trajectory["terminated"].sum() == 1


def test_the_contact_cost_is_at_most_10():
    family = gymnasium.make_vec(HUMANOID, num_envs=1).unwrapped.family
    force = np.zeros((2, 14, 6))
    force[0, 3, 5], force[1, 3, 5] = 4000.0, 5000.0
    fields = {"cfrc_ext": force, "subtree_com": np.zeros((2, 14, 3))}
    state = State(np.zeros((2, 24)), np.zeros((2, 23)), fields)
    terms = family.reward_terms(state, state, np.zeros((2, 17)), {"heading": np.zeros(2)})
    np.testing.assert_allclose(terms["reward_contact"], [-5e-7 * 4000.0**2, -10.0], rtol=1e-12)


def test_physics_are_gymnasiums_bit_for_bit():
    """Positions and velocities; Gymnasium's forces and inertias are those of the substep before."""
    mujoco.set_mju_user_warning(lambda message: None)  # it would write a log file here
    ours, gymnasiums = gymnasium.make(HUMANOID), gymnasium.make("Humanoid-v5")
    np.testing.assert_array_equal(*(env.reset(seed=SEED)[0][:45] for env in (ours, gymnasiums)))
    for action in np.random.default_rng(0).uniform(-1, 1, (15, 17)).astype(np.float32):
        mine, theirs = ours.step(action), gymnasiums.step(0.4 * action.astype(np.float64))
        np.testing.assert_array_equal(mine[0][:45], theirs[0][:45])
        assert not mine[2]


def test_feet_feel_the_ground():
    """The forces on the feet carry the body: about its weight while it stands, none in the air."""
    env = gymnasium.make(HUMANOID)
    env.reset(seed=0)
    feet = [MODEL.body("right_foot").id, MODEL.body("left_foot").id]
    lift = []
    for _ in range(12):
        contact = env.step(np.zeros(17, np.float32))[0][-78:].reshape(13, 6)
        lift.append(sum(contact[foot - 1, 5] for foot in feet))
    weight = 9.81 * MODEL.body_mass.sum()
    assert 0.3 * weight < max(lift) < 20 * weight
