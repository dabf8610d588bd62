"""MuJoCo's batch: one diverging simulation ends its own episode and touches no other."""

import gymnasium
import mujoco
import numpy as np
import pytest
from metarl_envs import FAMILIES, Family, State, TaskSpace, Uniform, register_family
from metarl_envs.family import never_terminated
from metarl_envs.physics.mujoco_batch import MujocoSimulation
from metarl_envs.physics.mujoco_models import load_gymnasium_model

from tests.support.trajectories import assert_same, of_envs, play

# A body on a rail whose actuator pushes along its own velocity: an action of 1 makes it nine times as
# fast every step, beyond MuJoCo's limit of 1e10 after ten steps; small actions are harmless.
RUNAWAY = """
<mujoco>
  <option timestep="0.01"/>
  <worldbody>
    <body><joint name="rail" type="slide" axis="1 0 0"/><geom size="0.1" mass="1"/></body>
  </worldbody>
  <actuator><general joint="rail" gaintype="affine" gainprm="0 0 200"/></actuator>
</mujoco>
"""
STEPS, DIVERGED_AT = 15, 9
FIELDS = ("subtree_com", "cvel", "qfrc_actuator")
with_and_without_fields = pytest.mark.parametrize("options", [{}, {"fields": FIELDS}], ids=["bare", "fields"])


def load_runaway():
    return mujoco.MjModel.from_xml_string(RUNAWAY)


def runaway_family(action_scale=1.0, fields=()):
    def reward_terms(before, after, control, tasks):
        return {"reward_speed": tasks["weight"] * (after.qpos - before.qpos)[:, 0]}

    def observation(state):
        derived = [state.fields[name].reshape(len(state.qpos), -1) for name in fields]
        return np.concatenate((state.qpos, state.qvel, *derived), axis=-1)

    def simulation(num_envs, num_threads):
        return MujocoSimulation(load_runaway, 2, num_envs, num_threads, fields)

    return Family(
        task_space=TaskSpace({"weight": Uniform(0.0, 1.0, default=1.0)}),
        observation_size=2 + (6 + 12 + 1) * bool(fields),
        control_low=-np.ones(1),
        control_high=np.ones(1),
        dt=0.02,
        simulation=simulation,
        initial_state=lambda rng: State(rng.uniform(-1, 1, 1), rng.uniform(0.05, 0.1, 1)),
        observation=observation,
        reward_terms=reward_terms,
        terminated=never_terminated,
        action_scale=action_scale,
    )


@pytest.fixture(autouse=True)
def runaway():
    """The id of a registered family that diverges under an action of 1."""
    register_family("Runaway", runaway_family, horizon=STEPS)
    yield "metarl/Runaway-v0"
    FAMILIES.pop("Runaway")
    gymnasium.registry.pop("metarl/Runaway-v0")


def actions(runaway_env=None):
    """Harmless ones [step, 3, 1], but 1 for the environment that is to diverge."""
    harmless = np.random.default_rng(0).uniform(-0.01, 0.01, (STEPS, 3, 1))
    if runaway_env is not None:
        harmless[:, runaway_env] = 1.0
    return harmless


def held_batch(env_id, **options):
    return gymnasium.make_vec(env_id, num_envs=3, autoreset_mode="Disabled", **options)


def test_no_state_beyond_mujocos_bound_is_told(runaway):
    """What goes bad in a step's last substep is not in MuJoCo's counters yet."""
    simulation = MujocoSimulation(load_runaway, frame_skip=1, num_envs=1)
    everywhere, gentle = np.array([True]), np.full((1, 1), 0.005)  # one hundredth faster every step
    simulation.write(everywhere, State(np.zeros((1, 1)), np.full((1, 1), 0.995 * mujoco.mjMAXVAL)))
    assert simulation.step(gentle, everywhere).tolist() == [True]
    assert simulation.state().qvel[0, 0] > mujoco.mjMAXVAL
    simulation.write(everywhere, State(np.zeros((1, 1)), np.full((1, 1), 0.9 * mujoco.mjMAXVAL)))
    assert simulation.step(gentle, everywhere).tolist() == [False]


def test_a_diverging_environment_ends_as_terminated(runaway):
    envs = held_batch(runaway)
    envs.reset(seed=0)
    history = [envs.step(action) for action in actions(runaway_env=1)]
    for t, (observation, reward, terminated, truncated, info) in enumerate(history):
        assert terminated.tolist() == [False, t >= DIVERGED_AT, False]
        assert info["diverged"].tolist() == [False, t == DIVERGED_AT, False]
        assert truncated.tolist() == [t == STEPS - 1, False, t == STEPS - 1]
        assert np.isfinite(observation).all()
        assert np.isfinite(reward).all()
    assert history[-1][1][1] == 0


@with_and_without_fields
def test_a_diverged_environment_keeps_its_last_good_observation(runaway, options):
    """Its state and all that was derived from it, also while the others go on."""
    envs, shorter = (held_batch(runaway, **options) for _ in range(2))
    observation = play(envs, actions(runaway_env=1), seed=0)["observation"]
    last_good = play(shorter, actions(runaway_env=1)[:DIVERGED_AT], seed=0)["observation"][-1, 1]
    assert (observation[DIVERGED_AT:, 1] == last_good).all()
    assert (last_good[:2] > 1e5).all()
    assert (observation[DIVERGED_AT + 1 :, 0] != observation[DIVERGED_AT, 0]).any()


def test_derived_fields_belong_to_the_state_they_are_told_with(runaway):
    """The centre of mass is the body's place: after a step, after a divergence and after a reset."""
    envs = held_batch(runaway, fields=FIELDS)
    everything = play(envs, actions(runaway_env=1), seed=0)["observation"]
    again = envs.reset(seed=5, options={"reset_mask": np.array([False, True, False])})[0]
    for observation in [*everything, again]:
        np.testing.assert_array_equal(observation[:, 2], observation[:, 0])  # of the world
        np.testing.assert_array_equal(observation[:, 5], observation[:, 0])  # of the body


@pytest.mark.parametrize("num_threads", [1, 2, 3])
def test_the_others_do_not_notice(runaway, num_threads):
    alone, beside = (held_batch(runaway, num_threads=num_threads) for _ in range(2))
    expected = play(alone, actions(), seed=0)
    result = play(beside, actions(runaway_env=1), seed=0)
    assert_same(of_envs(result, [0, 2]), of_envs(expected, [0, 2]))


def test_the_others_do_not_notice_the_reset_either(runaway):
    alone, beside, fresh = (held_batch(runaway, max_episode_steps=99) for _ in range(3))
    play(beside, actions(runaway_env=1), seed=0)
    beside.reset(seed=[7, 8, 9], options={"reset_mask": np.array([False, True, False])})
    result = play(beside, actions())
    play(alone, actions(), seed=0)
    assert_same(of_envs(result, [0, 2]), of_envs(play(alone, actions()), [0, 2]))
    fresh.reset(seed=[7, 8, 9])
    assert_same(of_envs(result, [1]), of_envs(play(fresh, actions()), [1]))


def test_every_divergence_is_told_not_only_the_first(runaway):
    envs = gymnasium.make_vec(runaway, num_envs=3, autoreset_mode="SameStep")
    envs.reset(seed=0)
    told = [
        info["final_info"]["diverged"][1]
        for *_, info in map(envs.step, np.tile(actions(runaway_env=1), (3, 1, 1)))
        if "final_obs" in info and info["_final_obs"][1]
    ]
    assert len(told) >= 3
    assert all(told)


@with_and_without_fields
def test_same_step_autoreset_gives_the_last_good_observation(runaway, options):
    envs, held = (
        gymnasium.make_vec(runaway, num_envs=3, autoreset_mode=mode, **options)
        for mode in ("SameStep", "Disabled")
    )
    expected = play(held, actions(runaway_env=1), seed=0)["observation"][DIVERGED_AT + 1, 1]
    envs.reset(seed=0)
    for action in actions(runaway_env=1)[: DIVERGED_AT + 1]:
        observation, _, terminated, _, info = envs.step(action)
    assert terminated.tolist() == [False, True, False]
    assert info["_final_obs"].tolist() == [False, True, False]
    np.testing.assert_array_equal(info["final_obs"][1], expected)
    next_start = held.reset(options={"reset_mask": terminated})[0]
    np.testing.assert_array_equal(observation[1], next_start[1])
    assert (np.abs(observation[1, :2]) <= 1).all()


def test_a_single_environment_tells_it_too(runaway):
    env = gymnasium.make(runaway)
    env.reset(seed=0)
    *_, (observation, reward, terminated, truncated, info) = (
        env.step(np.ones(1, np.float32)) for _ in range(DIVERGED_AT + 2)
    )
    assert (terminated, truncated, reward) == (True, False, 0.0)
    assert np.isfinite(observation).all()
    assert info["diverged"] is False


def test_assets_without_a_total_mass_load_too():
    assert load_gymnasium_model("swimmer.xml").nu == 2


def test_states_are_copies():
    simulation = runaway_family().simulation(2, 1)
    both = np.ones(2, bool)
    simulation.write(both, State(np.zeros((2, 1)), np.ones((2, 1))))
    state = simulation.state()
    simulation.step(np.zeros((2, 1)), both)
    np.testing.assert_array_equal(state.qpos, 0)
    assert (simulation.state().qpos > 0).all()
