"""The ant families, against a plain simulation and the originals' formulas written out."""

import gymnasium
import numpy as np
import pytest

from tests.support.slow_simulation import (
    assert_rewarded,
    episode,
    gymnasium_asset,
    mass_centre,
    simulate,
    started,
)

STEPS, SEED = 60, 11
MODEL = gymnasium_asset("ant.xml")
# Per preset: healthy reward, control and contact weight; rllab's ant in cbfinn/maml_rl, gym's in ProMP,
# oyster's without the contact cost that was always zero there.
WALKING = {
    None: (1.0, 0.5, 0.0),
    "maml": (0.05, 0.5 * 1e-2, 0.5 * 1e-3),
    "promp": (1.0, 0.5, 0.5 * 1e-3),
    "pearl": (1.0, 0.5, 0.0),
}
REACHING = {
    None: (0.0, 0.1, 0.0),
    "maml": WALKING["maml"],
    "promp": (0.0, 0.1, 5e-4),
    "pearl": (0.0, 0.1, 0.0),
}


def reference(controls):
    data = started(MODEL, SEED, 0.1, 0.1, normal_velocities=True)
    return list(simulate(MODEL, data, controls, frame_skip=5))


def shared_terms(steps, healthy, control, contact):
    terms = {"reward_control": [-control * np.square(step.control).sum() for step in steps]}
    if healthy:
        terms["reward_healthy"] = [healthy] * len(steps)
    if contact:
        forces = [np.clip(step.last_substep.cfrc_ext, -1, 1) for step in steps]
        terms["reward_contact"] = [-contact * np.square(force).sum() for force in forces]
        assert min(terms["reward_contact"]) < -1e-4
    return terms


def played(env_id, task, preset, observation=lambda step: np.concatenate((step.qpos[2:], step.qvel))):
    """The trajectory and the reference's steps, whose observations it has bit for bit."""
    options = {"preset": preset} if preset else {}
    trajectory, controls = episode(env_id, task, STEPS, seed=SEED, **options)
    steps = reference(controls)
    np.testing.assert_array_equal(trajectory["observation"][1:], [observation(step) for step in steps])
    return trajectory, steps


def place(data, preset):
    """x and y of what is rewarded: the whole body's centre of mass in rllab's ant, else the torso's."""
    return mass_centre(MODEL, data) if preset == "maml" else data.qpos[:2]


def velocity(step, preset):
    return (place(step.after, preset) - place(step.before, preset)) / 0.05


@pytest.mark.parametrize("preset", [None, "maml"])
def test_velocity(preset):
    trajectory, steps = played("metarl/AntVel-v0", {"velocity": 1.2}, preset)
    error = [np.abs(velocity(step, preset)[0] - 1.2) for step in steps]
    terms = {"reward_velocity": np.negative(error), "reward_bonus": [1.0] * len(steps)}
    assert_rewarded(trajectory, {**terms, **shared_terms(steps, *WALKING[preset])})


@pytest.mark.parametrize("preset", [None, "maml", "promp", "pearl"])
@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_direction(preset, direction):
    trajectory, steps = played("metarl/AntDir-v0", {"direction": direction}, preset)
    forward = [direction * velocity(step, preset)[0] for step in steps]
    assert_rewarded(trajectory, {"reward_direction": forward, **shared_terms(steps, *WALKING[preset])})


@pytest.mark.parametrize("preset", [None, "promp", "pearl"])
def test_heading(preset):
    trajectory, steps = played("metarl/AntDir2D-v0", {"heading": 2.0}, preset)
    along = [velocity(step, preset) @ (np.cos(2.0), np.sin(2.0)) for step in steps]
    assert_rewarded(trajectory, {"reward_heading": along, **shared_terms(steps, *WALKING[preset])})


@pytest.mark.parametrize("preset", [None, "maml", "promp", "pearl"])
def test_goal(preset):
    goal = np.array([1.5, -2.0])
    place_too = lambda step: np.concatenate((step.qpos, step.qvel))  # noqa: E731
    trajectory, steps = played("metarl/AntGoal-v0", {"goal": goal}, preset, place_too)
    terms = {"reward_goal": [-np.abs(place(step.after, preset) - goal).sum() for step in steps]}
    if preset == "maml":
        terms["reward_bonus"] = [4.0] * len(steps)
    assert_rewarded(trajectory, {**terms, **shared_terms(steps, *REACHING[preset])})


def test_physics_are_gymnasiums_bit_for_bit():
    gymnasiums, controls = episode("Ant-v5", None, STEPS, seed=SEED, include_cfrc_ext_in_observation=False)
    ours, _ = episode("metarl/AntDir-v0", {"direction": 1.0}, STEPS, seed=SEED)
    assert len(controls) > 20
    n = min(len(ours["observation"]), len(controls) + 1)
    np.testing.assert_array_equal(ours["observation"][:n], gymnasiums["observation"][:n])


def test_contact_forces_are_none_in_the_air_and_some_on_the_ground():
    env = gymnasium.make("metarl/AntDir-v0", preset="promp")
    env.reset(seed=0)
    contact = [env.step(np.zeros(8, np.float32))[-1]["reward_contact"] for _ in range(40)]
    assert contact[0] == 0
    assert min(contact) < -1e-3
    assert min(contact) >= -5e-4 * 14 * 6


@pytest.mark.parametrize(
    ("env_id", "options", "name", "inside", "outside"),
    [
        ("AntVel", {}, "velocity", [0.0, 3.0], [-0.01, 3.01]),
        ("AntGoal", {}, "goal", [(3.0, 0.0), (-2.1, 2.1)], [(2.2, 2.2), (0.0, -3.01)]),
        ("AntGoal", {"preset": "maml"}, "goal", [(3.0, 3.0), (-3.0, 2.0)], [(3.01, 0.0)]),
        ("AntDir", {}, "direction", [1.0, -1.0], [0.0, 2.0]),
        ("AntDir2D", {}, "heading", [0.0, 6.28, -3.0], [7.0]),
    ],
)
def test_task_spaces(env_id, options, name, inside, outside):
    env = gymnasium.make(f"metarl/{env_id}-v0", **options).unwrapped
    for value in inside:
        env.set_task({name: value})
    for value in outside:
        with pytest.raises(ValueError, match=f"task '{name}': expected a value"):
            env.set_task({name: value})
