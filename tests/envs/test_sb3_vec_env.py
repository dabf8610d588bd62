"""Native batches behind stable-baselines3's interface: what its own `DummyVecEnv` gives, and its learners."""

import subprocess
import sys

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import data_equivalence
from metarl_envs.sb3_vec_env import TaskVecEnv, make_sb3_vec_env
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

POINT, CHEETAH, HOPPER = (
    f"metarl/{name}-v0" for name in ("PointNavigation", "HalfCheetahVel", "HopperRandParams")
)
GOALS = [{"goal": np.array(goal)} for goal in ([0.3, -0.2], [-0.2, -0.1], [0.0, 0.5], [0.4, 0.4])]
VELOCITIES = [{"velocity": velocity} for velocity in (0.0, 1.0, 2.0, 1.5)]


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def native_and_dummy(env_id, **options):
    """Four environments each, natively and by stable-baselines3's own means."""
    native = make_sb3_vec_env(env_id, 4, **options).venv
    return native, DummyVecEnv([lambda: gymnasium.make(env_id, **options)] * 4)


def actions_for(envs, observation, goals, rng):
    """Random; in the environments with a goal, straight to it."""
    actions = rng.uniform(-1.5, 1.5, (4, *envs.action_space.shape)).astype(np.float32)
    for i, goal in goals.items():
        actions[i] = (goal["goal"] - observation[i]) / 0.1
    return actions


@pytest.mark.parametrize(
    ("env_id", "options", "tasks", "goals", "ends"),
    [
        # Two reach their goals, after three steps and five; the third step is also the last of three.
        (POINT, {"preset": "maml", "max_episode_steps": 7}, GOALS, {0: GOALS[0], 2: GOALS[2]}, {True, False}),
        (POINT, {"preset": "maml", "max_episode_steps": 3}, GOALS, {0: GOALS[0]}, {True, False}),
        (CHEETAH, {"max_episode_steps": 7}, VELOCITIES, {}, {True}),
        (HOPPER, {"max_episode_steps": 12}, None, {}, {True, False}),
    ],
    ids=["ends anywhere", "ends at the time limit", "truncates", "changes physics"],
)
def test_everything_is_as_dummy_vec_env_gives_it(env_id, options, tasks, goals, ends):
    native, dummy = native_and_dummy(env_id, **options)
    assert native.observation_space == dummy.observation_space
    assert native.action_space == dummy.action_space
    assert native.metadata["render_fps"] == dummy.metadata["render_fps"]
    rng, truncated = np.random.default_rng(0), set()
    tasks = tasks or native.sample_tasks(4)
    for kept in ({"task": tasks[0]}, [{"task": task} for task in tasks], None):
        for envs in (native, dummy):
            envs.set_options(kept)
            envs.seed(5) if kept else None
        observation, expected = native.reset(), dummy.reset()
        np.testing.assert_array_equal(observation, expected, strict=True)
        assert data_equivalence(native.reset_infos, dummy.reset_infos, exact=True)
        for _ in range(23):
            actions = actions_for(native, observation, goals, rng)
            result, expected = native.step(actions), dummy.step(actions)
            observation, _, dones, infos = result
            for ours, theirs in zip(result[:3], expected[:3], strict=True):
                np.testing.assert_array_equal(ours, theirs, strict=True)
            assert data_equivalence(infos, expected[3], exact=True)
            assert data_equivalence(native.reset_infos, dummy.reset_infos, exact=True)
            truncated |= {infos[i]["TimeLimit.truncated"] for i in np.flatnonzero(dones)}
    assert truncated == ends


def test_seeds_and_options_are_for_one_reset():
    envs = make_sb3_vec_env(CHEETAH, 3, seed=4)
    first, second = envs.reset(), envs.reset()
    assert (first != second).any(axis=1).all()
    assert envs.seed(4) == [4, 5, 6]
    np.testing.assert_array_equal(envs.reset(), first)
    envs.set_options({"task": {"velocity": 0.5}})
    envs.reset()
    envs.env_method("set_task", {"velocity": 2.5})
    envs.reset()
    assert [info["task"]["velocity"] for info in envs.unwrapped.reset_infos] == [2.5] * 3


def test_tasks_are_reached_through_wrappers_and_by_environment():
    native, dummy = native_and_dummy(CHEETAH, max_episode_steps=1)
    for envs in (native, dummy):
        envs.reset()
        envs.env_method("set_task", {"velocity": 0.5})
        envs.env_method("set_task", {"velocity": 2.0}, indices=[1, 3])
        envs.env_method("set_task", {"velocity": 1.0}, indices=2)
        told = [task["velocity"] for task in envs.env_method("get_task")]
        assert told == [0.5, 2.0, 1.0, 2.0]
        envs.step(np.zeros((4, 6), np.float32))
        assert [info["task"]["velocity"] for info in envs.reset_infos] == told
        assert envs.env_method("get_task", indices=2) == [{"velocity": 1.0}]
        assert [len(tasks) for tasks in envs.env_method("sample_tasks", 5)] == [5] * 4
        assert envs.get_attr("task_space", [0, 1]) == [native.envs.family.task_space] * 2
        assert envs.get_attr("observation_space") == [native.observation_space] * 4
        assert not envs.has_attr("nonsense")
        assert envs.env_is_wrapped(Monitor, [0, 2]) == [False] * 2
    envs = VecNormalize(make_sb3_vec_env(CHEETAH, 4, tasks=VELOCITIES))
    assert envs.get_tasks()["velocity"].tolist() == [0.0, 1.0, 2.0, 1.5]
    envs.set_tasks(envs.sample_tasks(4))
    assert len(np.unique(envs.get_tasks()["velocity"])) == 4
    one = make_sb3_vec_env(CHEETAH, 4, task={"velocity": 2.0}).get_tasks()
    assert one["velocity"].tolist() == [2.0] * 4


def test_what_a_batch_cannot_do_is_said():
    envs = make_sb3_vec_env(CHEETAH, 4).venv
    with pytest.raises(ValueError, match="task, the same for all environments, or tasks, one each; got both"):
        make_sb3_vec_env(CHEETAH, 4, task=VELOCITIES[0], tasks=VELOCITIES)
    with pytest.raises(
        ValueError, match="expected one of metarl's natively batched environments, got 'CartPole"
    ):
        make_sb3_vec_env("CartPole-v1", 2)
    with pytest.raises(ValueError, match='a batch with autoreset_mode="SameStep", got "NextStep"'):
        TaskVecEnv(gymnasium.make_vec(CHEETAH, 4).unwrapped)
    with pytest.raises(ValueError, match=r"the key 'task' alone, got \{'reset_mask'"):
        envs.set_options({"reset_mask": np.ones(4, bool)})
    with pytest.raises(ValueError, match="expected 4 options, one dict per environment, got 2"):
        envs.set_options([{}, {}])
    with pytest.raises(ValueError, match=r"they share it; got \[0\]"):
        envs.set_attr("max_episode_steps", 3, indices=[0])
    with pytest.raises(AttributeError, match=r"expected a method among .*'set_task'.*, got 'compute_reward'"):
        envs.env_method("compute_reward")
    envs.set_attr("max_episode_steps", 3)
    assert envs.get_attr("max_episode_steps") == [3] * 4


def test_pictures_are_the_batchs(monkeypatch):
    envs = make_sb3_vec_env(CHEETAH, 2, render_mode="rgb_array")
    frames = tuple(np.full((4, 6, 3), shade, np.uint8) for shade in (1, 2))
    monkeypatch.setattr(envs.unwrapped.envs, "render", lambda: frames)
    np.testing.assert_array_equal(np.unique(envs.render()), [1, 2])
    np.testing.assert_array_equal(envs.env_method("render", indices=1), [frames[1]])


@pytest.mark.usefixtures("one_thread")
def test_ppo_learns_one_task_for_all():
    options = {"task": {"goal": [0.3, -0.4]}, "max_episode_steps": 20}
    envs, held_out = (make_sb3_vec_env(POINT, num_envs, **options) for num_envs in (32, 4))
    model = PPO(
        "MlpPolicy", envs, n_steps=20, batch_size=160, gamma=0.9, learning_rate=3e-3, seed=0, device="cpu"
    )
    assert evaluate_policy(model, held_out, 4)[0] < -8
    model.learn(20 * 32 * 16)
    recorded = [episode["r"] for episode in model.ep_info_buffer]
    assert len(recorded) == 100
    assert np.mean(recorded) > -2.5
    mean, spread = evaluate_policy(model, held_out, 4)
    assert mean > -1.5  # the straight way is -0.68
    assert spread < 1e-3  # one task, one start
    single = Monitor(gymnasium.make(POINT, max_episode_steps=20))
    single.unwrapped.set_task(options["task"])
    assert evaluate_policy(model, single, 1)[0] == pytest.approx(mean, abs=1e-3)


@pytest.mark.usefixtures("one_thread")
def test_sac_stores_the_last_observations_and_truncations():
    envs = make_sb3_vec_env(CHEETAH, 4, max_episode_steps=5, seed=0)
    model = SAC("MlpPolicy", envs, learning_starts=8, batch_size=8, buffer_size=400, seed=0, device="cpu")
    model.learn(60)
    buffer = model.replay_buffer
    assert buffer.pos == 15
    ends = np.arange(15) % 5 == 4
    np.testing.assert_array_equal(buffer.dones[:15].astype(bool), ends[:, None] | np.zeros(4, bool))
    np.testing.assert_array_equal(buffer.timeouts[:15], buffer.dones[:15])
    for t in range(14):
        stays = (buffer.next_observations[t] == buffer.observations[t + 1]).all(axis=1)
        assert (stays == ~ends[t]).all()


def test_normalisation_sees_the_last_observation():
    envs = VecNormalize(make_sb3_vec_env(CHEETAH, 4, max_episode_steps=3, seed=0))
    raw, _ = native_and_dummy(CHEETAH, max_episode_steps=3)
    raw.seed(0)
    raw.reset(), envs.reset()
    for _ in range(3):
        actions = np.ones((4, 6), np.float32)
        (_, _, dones, infos), (_, _, _, expected) = envs.step(actions), raw.step(actions)
    assert dones.all()
    for info, unnormalised in zip(infos, expected, strict=True):
        last = envs.normalize_obs(unnormalised["terminal_observation"])
        np.testing.assert_array_equal(info["terminal_observation"], last)
        assert info["episode"]["l"] == 3


def test_environments_import_without_stable_baselines3():
    code = "import sys; sys.modules['stable_baselines3'] = None; import gymnasium, metarl_envs; "
    code += f"gymnasium.make_vec('{CHEETAH}', num_envs=2).reset(seed=0); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(subprocess.CalledProcessError):
        subprocess.run(
            [sys.executable, "-c", code + "; import metarl_envs.sb3_vec_env"], check=True, capture_output=True
        )
