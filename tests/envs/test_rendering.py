"""Pictures of every registered environment."""

import gymnasium
import mujoco
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.utils.passive_env_checker import env_render_passive_checker
from metarl_envs import State, TaskEnv
from metarl_envs.registration import build_family
from metarl_envs.rendering.frames import PosedModel

from tests.support.opengl import needs_opengl
from tests.support.trajectories import CASES, random_actions

SIZE = {"width": 160, "height": 120}
BACKGROUND = 0.3  # of the pixels, which a marker may change at most
every_id = pytest.mark.parametrize("case", [case for case in CASES if not case.options], ids=str)


def frame_after(env, actions=(), task=None, seed=0):
    env.reset(seed=seed, options={} if task is None else {"task": task})
    for action in actions:
        env.step(action)
    return env.render()


def changed(first, second):
    """The share of the pixels that differ."""
    return (first != second).any(-1).mean()


@every_id
def test_the_scene_has_the_familys_positions(case):
    envs = case.make_vec(1).unwrapped
    envs.reset(seed=0)
    model = envs.family.scene.load_model()
    state, _ = envs.current(0)
    assert state.qpos.shape == (model.nq,)
    assert state.qvel.shape in ((model.nv,), (0,))


@every_id
def test_frames_are_played_at_the_speed_of_the_simulated_time(case):
    family = case.make_vec(1).unwrapped.family
    fps = case.make().metadata["render_fps"]
    assert fps == case.make_vec(1).metadata["render_fps"]
    assert fps == (round(1 / family.dt) if family.dt < 1 else 10)


@needs_opengl
@every_id
def test_a_frame_follows_from_the_state_and_the_task(case):
    env = case.make(render_mode="rgb_array", **SIZE)
    first, *others = case.tasks(9)
    second = next(task for task in others if not data_equivalence(task, first))
    frame = frame_after(env, task=first)
    assert frame.shape == (120, 160, 3)
    assert frame.dtype == np.uint8
    assert frame.std() > 5
    actions = random_actions(env, 10)
    assert changed(frame, frame_after(env, actions, first)) > 0.001
    assert 0 < changed(frame, frame_after(env, task=second)) < BACKGROUND
    np.testing.assert_array_equal(frame_after(env, task=first), frame)
    env_render_passive_checker(env)
    env.close()
    env.close()


@needs_opengl
@every_id
def test_frames_of_the_batch_are_those_of_single_environments(case):
    envs, tasks = case.make_vec(2, render_mode="rgb_array", **SIZE), case.tasks(2)
    actions = random_actions(envs, 5)
    envs.reset(seed=3, options={"tasks": tasks})
    for action in actions:
        envs.step(action)
    frames = envs.render()
    assert isinstance(frames, tuple)
    env = case.make(render_mode="rgb_array", **SIZE)
    for i, task in enumerate(tasks):
        np.testing.assert_array_equal(frames[i], frame_after(env, actions[:, i], task, seed=3 + i))
    env.close()
    envs.close()


@needs_opengl
@pytest.mark.parametrize("goal", [(0.4, 0.3), (-0.4, 0.1)])
def test_the_goal_is_green_where_it_lies_on_the_plane(goal):
    env = gymnasium.make("metarl/PointNavigation-v0", render_mode="rgb_array", **SIZE)
    red, green, blue = np.moveaxis(frame_after(env, task={"goal": np.array(goal)}).astype(int), -1, 0)
    row, column = np.nonzero(green > np.maximum(red, blue) + 60)
    metre = 120 / (2 * 2.9 * np.tan(np.radians(45 / 2)))
    np.testing.assert_allclose([column.mean() - 79.5, 59.5 - row.mean()], np.multiply(goal, metre), atol=1.5)
    env.close()


def test_the_camera_follows_a_walking_body_and_stands_still_for_goals():
    for name, follows in (("HalfCheetahVel", True), ("AntDir2D", True), ("AntGoal", False)):
        family = build_family(name, {})
        posed, camera = PosedModel(family.scene), mujoco.MjvCamera()
        seen = []
        for place in (0.0, 5.0):
            qpos = posed.model.qpos0 + np.eye(posed.model.nq)[0] * place
            posed.pose(State(qpos, np.zeros(posed.model.nv)), family.task_space.default)
            posed.aim(camera)
            seen.append(camera.lookat.copy())
        np.testing.assert_allclose(seen[1] - seen[0], [5.0 * follows, 0, 0], atol=1e-9)


@needs_opengl
def test_environments_are_drawn_side_by_side_and_closed_in_any_order():
    envs = [gymnasium.make("metarl/SparsePoint-v0", render_mode="rgb_array", **SIZE) for _ in range(3)]
    frame = frame_after(envs[0])
    for env in envs[1:]:
        np.testing.assert_array_equal(frame_after(env), frame)
    envs[1].close()
    for env in (envs[0], envs[2]):
        np.testing.assert_array_equal(env.render(), frame)
        env.close()


def test_without_a_render_mode_nothing_is_drawn():
    env = gymnasium.make("metarl/PointNavigation-v0").unwrapped
    env.reset(seed=0)
    assert env.render_mode is None
    with pytest.warns(UserWarning, match='expected render_mode="rgb_array"'):
        assert env.render() is None


@pytest.mark.filterwarnings("ignore:.*The environment is being initialised with render_mode")
@pytest.mark.parametrize("mode", ["depth_array", "ansi"])
def test_render_modes_that_do_not_exist(mode):
    with pytest.raises(ValueError, match=r"render_mode to be None or one of \['human', 'rgb_array'\]"):
        TaskEnv("PointNavigation", render_mode=mode)
    for other in (mode, "human"):
        with pytest.raises(ValueError, match=r"render_mode to be None or one of \['rgb_array'\]"):
            gymnasium.make_vec("metarl/PointNavigation-v0", 2, render_mode=other)


@pytest.mark.parametrize("name", ["width", "height"])
def test_sizes_that_cannot_be(name):
    with pytest.raises(ValueError, match=f"expected {name} >= 1, got 0"):
        TaskEnv("PointNavigation", render_mode="rgb_array", **{name: 0})


def test_render_before_reset():
    envs = gymnasium.make_vec("metarl/PointNavigation-v0", 2, render_mode="rgb_array")
    with pytest.raises(RuntimeError, match=r"expected reset\(\) before the first step\(\) or render\(\)"):
        envs.render()


@needs_opengl
@pytest.mark.parametrize("name", ["Walker2DDir", "HalfCheetahVel"])
def test_no_shadow_lies_on_distant_floor(name):
    env = gymnasium.make(f"metarl/{name}-v0", render_mode="rgb_array", width=480, height=360)
    frame = frame_after(env, seed=1)
    env.close()
    distant = frame[110:160, 330:]
    assert distant.max(-1).min() > 40
