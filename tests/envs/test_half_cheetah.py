import gymnasium
import mujoco
import numpy as np
import pytest
from metarl_envs import FAMILIES, State
from metarl_envs.physics.mujoco_models import load_gymnasium_model

from tests.support.slow_simulation import assert_rewarded, episode, mass_centre, simulate, started
from tests.support.trajectories import existing_presets

VEL, DIR = "metarl/HalfCheetahVel-v0", "metarl/HalfCheetahDir-v0"
STEPS = 200


def played(env_id, actions, *, task=None, seed=7, **options):
    """Observations (the reset's first), rewards and infos of one episode."""
    env = gymnasium.make(env_id, **options)
    first, _ = env.reset(seed=seed, options={"task": task} if task else None)
    observations, rewards, _, _, infos = zip(*map(env.step, actions), strict=True)
    return np.array([first, *observations]), np.array(rewards), infos


def values(infos, name):
    return np.array([info[name] for info in infos])


@pytest.fixture(scope="module")
def actions():
    return np.random.default_rng(0).uniform(-1, 1, (STEPS, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def reference(actions):
    """Gymnasium's HalfCheetah-v5 under the same seed and actions."""
    mujoco.set_mju_user_warning(lambda message: None)  # it would write a log file here
    return played("HalfCheetah-v5", actions)


@pytest.mark.parametrize("env_id", [VEL, DIR])
def test_physics_are_gymnasiums_bit_for_bit(env_id, actions, reference):
    np.testing.assert_array_equal(played(env_id, actions)[0], reference[0], strict=True)


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_direction_reward_is_gymnasiums_forward_reward_times_the_direction(direction, actions, reference):
    _, rewards, infos = played(DIR, actions, task={"direction": direction})
    forward = values(reference[2], "reward_forward")
    np.testing.assert_array_equal(values(infos, "reward_direction"), direction * forward)
    expected = direction * forward - 0.05 * np.square(actions.astype(np.float64)).sum(-1)
    np.testing.assert_allclose(rewards, expected, rtol=1e-9)


def test_velocity_reward_is_the_distance_to_the_commanded_velocity(actions, reference):
    _, rewards, infos = played(VEL, actions, task={"velocity": 1.25})
    velocity = values(reference[2], "x_velocity")
    np.testing.assert_array_equal(values(infos, "reward_velocity"), -np.abs(velocity - 1.25))
    assert {info["task"]["velocity"] for info in infos} == {1.25}
    expected = -np.abs(velocity - 1.25) - 0.05 * np.square(actions.astype(np.float64)).sum(-1)
    np.testing.assert_allclose(rewards, expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("env_id", "task", "name", "reward"),
    [
        (VEL, {"velocity": 1.25}, "reward_velocity", lambda velocity: -np.abs(velocity - 1.25)),
        (DIR, {"direction": -1.0}, "reward_direction", np.negative),
    ],
)
def test_preset_maml_rewards_the_velocity_of_the_centre_of_mass(env_id, task, name, reward):
    trajectory, controls = episode(env_id, task, STEPS, preset="maml")
    model = load_gymnasium_model("half_cheetah.xml")
    steps = list(simulate(model, started(model, 11, 0.1, 0.1, normal_velocities=True), controls, 5))
    moved = [mass_centre(model, step.after) - mass_centre(model, step.before) for step in steps]
    control = [-0.05 * np.square(step.control).sum() for step in steps]
    assert_rewarded(trajectory, {name: reward(np.array(moved)[:, 0] / 0.05), "reward_control": control})


@pytest.mark.parametrize(
    ("options", "high"),
    [
        ({}, 3.0),
        ({"preset": "maml"}, 2.0),
        ({"preset": "promp"}, 3.0),
        ({"preset": "pearl"}, 3.0),
        ({"max_velocity": 1.0}, 1.0),
        ({"preset": "maml", "max_velocity": 5.0}, 5.0),
    ],
    ids=str,
)
def test_range_of_commanded_velocities(options, high):
    env = gymnasium.make(VEL, **options).unwrapped
    velocities = env.task_space.sample(2000, np.random.default_rng(0))["velocity"]
    np.testing.assert_allclose([velocities.min(), velocities.max()], [0, high], atol=0.01 * high)
    for inside in (0.0, high):
        env.set_task({"velocity": inside})
    for outside in (-0.01, high + 0.01):
        with pytest.raises(ValueError, match="task 'velocity': expected a value in"):
            env.set_task({"velocity": outside})


@pytest.mark.parametrize("env_id", [VEL, DIR])
def test_presets_and_horizon(env_id):
    assert existing_presets(env_id) == ["maml", "pearl", "promp"]
    assert gymnasium.spec(env_id).max_episode_steps == 200


@pytest.mark.parametrize("bound", [0.0, -1.0, float("nan")])
def test_a_range_of_no_velocities_is_refused(bound):
    with pytest.raises(ValueError, match="HalfCheetahVel: expected a finite max_velocity > 0"):
        gymnasium.make(VEL, max_velocity=bound)


def test_directions_are_forward_and_backward():
    space = gymnasium.make(DIR).unwrapped.task_space
    directions = space.sample(1000, np.random.default_rng(0))["direction"]
    assert set(directions) == {-1.0, 1.0}
    assert abs(directions.mean()) < 0.1


def test_action_scale_10_maps_actions_of_10_to_full_control(actions):
    full = np.sign(actions)
    expected = played(DIR, full)
    scaled = played(DIR, 10 * full, action_scale=10.0)
    beyond = played(DIR, 25 * full, action_scale=10.0, disable_env_checker=True)
    for result in (scaled, beyond):
        np.testing.assert_array_equal(result[0], expected[0])
        np.testing.assert_array_equal(result[1], expected[1])
    half = played(DIR, 5 * full, action_scale=10.0)
    np.testing.assert_array_equal(half[0], played(DIR, full / 2)[0])


@pytest.mark.parametrize(
    ("action_scale", "action", "control"),
    [(1.0, 1.0, 1.0), (1.0, -3.0, 1.0), (10.0, 5.0, 0.5), (10.0, 30.0, 1.0)],
)
@pytest.mark.parametrize("env_id", [VEL, DIR])
def test_control_cost_is_charged_on_the_applied_control(env_id, action_scale, action, control):
    _, _, infos = played(env_id, np.full((1, 6), action, np.float32), action_scale=action_scale)
    assert infos[0]["reward_control"] == pytest.approx(-0.05 * 6 * control**2, rel=1e-12)


def test_environments_start_with_gymnasiums_noise():
    envs = gymnasium.make_vec(DIR, num_envs=2000)
    observation, _ = envs.reset(seed=0)
    qpos, qvel = observation[:, :8], observation[:, 8:]
    assert (np.abs(qpos) <= 0.1).all()
    np.testing.assert_allclose(qpos.std(0), 0.2 / np.sqrt(12), rtol=0.1)
    np.testing.assert_allclose(qvel.std(0), 0.1, rtol=0.1)
    assert len(np.unique(observation, axis=0)) == 2000


@pytest.fixture
def quiet(tmp_path, monkeypatch, capfd):
    """Checks that nothing was printed and no file written where the user stands."""
    monkeypatch.chdir(tmp_path)
    mujoco.set_mju_user_warning(None)
    capfd.readouterr()
    yield
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("quiet")
def test_loading_the_model_alone_is_quiet():
    assert load_gymnasium_model("half_cheetah.xml").body_mass.sum() == pytest.approx(14.0)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("env_id", [VEL, DIR])
def test_loading_and_stepping_is_quiet(env_id):
    envs = gymnasium.make_vec(env_id, num_envs=3)
    envs.reset(seed=0)
    envs.step(np.zeros((3, 6)))


@pytest.mark.usefixtures("quiet")
def test_a_diverging_simulation_is_quiet():
    simulation = FAMILIES["HalfCheetahVel"]().simulation(2, 1)
    qvel = np.zeros((2, 9))
    qvel[1] = 1e9
    simulation.write(np.ones(2, bool), State(np.zeros((2, 9)), qvel))
    assert simulation.step(np.zeros((2, 6)), np.ones(2, bool)).tolist() == [False, True]


@pytest.mark.parametrize("env_id", [VEL, DIR])
def test_the_torsos_position_on_request(env_id):
    """As MuJoCo has it, after the usual 17 numbers."""
    envs, usual = (gymnasium.make_vec(env_id, num_envs=1, observe_torso=told) for told in (True, False))
    for each in (envs, usual):
        each.reset(seed=3)
    model = load_gymnasium_model("half_cheetah.xml")
    data = mujoco.MjData(model)
    for action in np.random.default_rng(0).uniform(-1, 1, (20, 1, 6)).astype(np.float32):
        (observation,), (expected,) = envs.step(action)[0], usual.step(action)[0]
        state = envs.unwrapped.state
        data.qpos[:], data.qvel[:] = state.qpos[0], state.qvel[0]
        mujoco.mj_forward(model, data)
        np.testing.assert_array_equal(observation[:17], expected)
        np.testing.assert_allclose(observation[17:], data.body("torso").xpos, atol=1e-12)
