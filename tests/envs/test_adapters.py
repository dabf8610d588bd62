import gc
import re
from contextlib import closing

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box
from metarl_envs.foreign.adapters import SampledTasks, apply_task
from metarl_envs.foreign.foreign_vector_env import ForeignVectorEnv
from metarl_envs.tasks import stack_tasks

from tests.support.trajectories import Case, assert_same, random_actions

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
each_mode = pytest.mark.parametrize("mode", ["sync", "async"])
GOALS = np.array([0.0, -1.0, 2.0])
ENDS = 3.0


class Line(gymnasium.Env):
    """A point on a line, from a random start; rewarded for being near its goal, and over beyond ENDS."""

    observation_space = Box(-np.inf, np.inf, (1,), np.float64)
    action_space = Box(-1.0, 1.0, (1,), np.float32)

    def __init__(self):
        self.goal = None

    def reset(self, *, seed=None, options=None):
        assert not options
        super().reset(seed=seed)
        self.position = self.np_random.uniform(-0.5, 0.5)
        return np.array([self.position]), {}

    def step(self, action):
        assert abs(self.position) <= ENDS, "stepped past its end"
        assert action.dtype == np.float32
        self.position += float(action[0])
        reward = -abs(self.position - self.goal)
        return np.array([self.position]), reward, abs(self.position) > ENDS, False, {}


class SetTaskLine(Line):
    def set_task(self, task):
        self.goal = task["goal"]

    def reset_task(self, task):
        raise AssertionError("set_task comes first")

    def sample_tasks(self, n):
        return [{"goal": float(goal)} for goal in self.np_random.uniform(-1, 1, n)]


class ResetTaskLine(Line):
    def reset_task(self, task):
        self.goal = task["goal"]


class OptionsLine(Line):
    reads_task_option = True

    def reset(self, *, seed=None, options=None):
        self.goal = options["task"]["goal"]
        return super().reset(seed=seed)


@pytest.fixture(autouse=True)
def no_native_simulation_to_collect():
    """A forked child that collects another test's simulation waits for threads it does not have."""
    gc.collect()


def played(make_env, mode, actions, goals=GOALS, seeds=(7, 1, 4)):
    """Observations (the reset's first), rewards and ends of one episode each."""
    with closing(ForeignVectorEnv(make_env, len(goals), mode)) as envs:
        envs.set_tasks({"goal": goals})
        first, _ = envs.reset(seed=seeds)
        observations, rewards, terminated, truncated, _ = zip(*map(envs.step, actions), strict=True)
    return {
        "observation": np.array([first, *observations]),
        "reward": np.array(rewards),
        "terminated": np.array(terminated),
        "truncated": np.array(truncated),
    }


def constant(action, steps=8):
    """The same actions at every step; [step, env, 1]."""
    return np.tile(np.reshape(action, (-1, 1)), (steps, 1, 1)).astype(np.float32)


@each_mode
@pytest.mark.parametrize("env", [SetTaskLine, ResetTaskLine, OptionsLine])
def test_each_environment_gets_its_task_and_seed(env, mode):
    result = played(env, mode, constant([0.1, 0.2, 0.3], steps=3))
    starts = [np.random.default_rng(seed).uniform(-0.5, 0.5) for seed in (7, 1, 4)]
    np.testing.assert_array_equal(result["observation"][0, :, 0], starts)
    np.testing.assert_array_equal(result["reward"], -np.abs(result["observation"][1:, :, 0] - GOALS))


@each_mode
def test_finished_environments_are_held(mode):
    """`Line` itself refuses to be stepped past its end."""
    result = played(SetTaskLine, mode, constant([1.0, 0.0, -1.0]))
    ends = np.abs(result["observation"][1:, :, 0]) > ENDS
    np.testing.assert_array_equal(result["terminated"], ends)
    assert ends[-1].tolist() == [True, False, True]
    assert not result["truncated"].any()
    for env in (0, 2):
        end = int(ends[:, env].argmax())
        assert (result["observation"][end + 1 :, env] == result["observation"][end + 1, env]).all()
        assert (result["reward"][end + 1 :, env] == 0).all()
        assert result["reward"][end, env] != 0


@each_mode
def test_a_time_limit_is_told_as_truncation(mode):
    result = played(lambda: gymnasium.wrappers.TimeLimit(SetTaskLine(), 3), mode, constant([0.1, 0.0, -0.1]))
    np.testing.assert_array_equal(result["truncated"], np.tile(np.arange(8) >= 2, (3, 1)).T)
    assert not result["terminated"].any()


@pytest.mark.parametrize("env", [SetTaskLine, ResetTaskLine, OptionsLine])
def test_sync_and_async_give_the_same_numbers(env):
    actions = np.random.default_rng(0).uniform(-1, 1, (30, 3, 1))
    assert_same(played(env, "async", actions), played(env, "sync", actions))


def test_native_environments_behind_the_adapter_equal_their_batch():
    case = Case("metarl/PointNavigation-v0", {"preset": "maml"})
    native, tasks = case.make_vec(3, max_episode_steps=20), stack_tasks(case.tasks(3))
    tasks["goal"][0] = (0.2, 0.2)
    actions = random_actions(native, 25)
    actions[:, 0] = 1.0
    native.reset(seed=4, options={"tasks": tasks})
    with closing(ForeignVectorEnv(lambda: case.make(max_episode_steps=20), 3, "sync")) as foreign:
        foreign.set_tasks(tasks)
        foreign.reset(seed=[4, 5, 6])
        for action in actions:
            for actual, expected in zip(foreign.step(action)[:4], native.step(action)[:4], strict=True):
                np.testing.assert_array_equal(actual, expected)
    assert native.step(actions[0])[2].tolist() == [True, False, False]


@each_mode
def test_a_reset_takes_new_tasks_and_starts_finished_environments(mode):
    with closing(ForeignVectorEnv(SetTaskLine, 3, mode)) as envs:
        envs.set_tasks({"goal": GOALS})
        envs.reset(seed=[1, 2, 3])
        for action in constant([1.0, 1.0, 1.0]):
            envs.step(action)
        envs.set_tasks({"goal": -GOALS})
        envs.reset(seed=[1, 2, 3])
        observation, reward, terminated, _, _ = envs.step(constant([0.0, 0.0, 0.0])[0])
    assert not terminated.any()
    np.testing.assert_array_equal(reward, -np.abs(observation[:, 0] + GOALS))


@each_mode
def test_actions_are_clipped_to_the_box(mode):
    beyond, bound = constant([7.0, -7.0, 0.5], 2).astype(np.float64), constant([1.0, -1.0, 0.5], 2)
    assert_same(played(SetTaskLine, mode, beyond), played(SetTaskLine, mode, bound))


@each_mode
def test_returned_arrays_are_the_callers(mode):
    actions = constant([0.1, 0.2, 0.3])
    expected = played(SetTaskLine, mode, actions)
    with closing(ForeignVectorEnv(SetTaskLine, 3, mode)) as envs:
        envs.set_tasks({"goal": GOALS})
        envs.reset(seed=[7, 1, 4])[0][...] = 77
        for t, action in enumerate(actions):
            result = envs.step(action)
            np.testing.assert_array_equal(result[0], expected["observation"][t + 1])
            np.testing.assert_array_equal(result[1], expected["reward"][t])
            for array in result[:4]:
                array[...] = 77


@each_mode
def test_another_number_of_tasks_than_environments_is_refused(mode):
    with (
        closing(ForeignVectorEnv(SetTaskLine, 3, mode)) as envs,
        pytest.raises(ValueError, match="for 3 environments"),
    ):
        envs.set_tasks({"goal": GOALS[:2]})


def test_sampled_tasks_are_those_of_the_generator():
    tasks = SampledTasks(SetTaskLine())
    rng = np.random.default_rng(1)
    first, second, again = (tasks.sample(5, g)["goal"] for g in (rng, rng, np.random.default_rng(1)))
    assert first.shape == (5,)
    np.testing.assert_array_equal(first, again)
    assert (first != second).all()


def test_sampled_tasks_need_an_environment_that_samples_them():
    with pytest.raises(ValueError, match=r"to have sample_tasks\(n\)"):
        SampledTasks(ResetTaskLine())


class SamplingLine(Line):
    """Its `reset` takes options, and the tasks that it samples show that it reads them."""

    def sample_tasks(self, n):
        return [{"goal": 0.5}] * n


class WithHook(gymnasium.Wrapper):
    def set_task(self, task):
        self.unwrapped.goal = task["goal"]


class WithTasks(gymnasium.Wrapper):
    def sample_tasks(self, n):
        return [{"goal": 0.5}] * n


def test_reset_options_count_where_the_environment_knows_tasks():
    task = {"goal": 0.5}
    assert apply_task(OptionsLine(), task) == {"task": task}
    assert apply_task(SamplingLine(), task) == {"task": task}
    assert apply_task(WithTasks(Line()), task) == {"task": task}


@pytest.mark.parametrize("make_env", [Line, lambda: gymnasium.make("Pendulum-v1")])
def test_an_environment_that_takes_no_task_gets_none(make_env):
    with pytest.raises(
        ValueError, match=r"expected an environment with set_task, .*; leave the task out, or"
    ):
        apply_task(make_env(), {"goal": 0.5})


def test_a_declaration_outweighs_the_tasks_that_an_environment_samples():
    env = SamplingLine()
    env.reads_task_option = False
    with pytest.raises(ValueError, match="reads_task_option"):
        apply_task(env, {"goal": 0.5})


def test_a_wrapper_gives_the_hook_and_the_tasks():
    env = gymnasium.wrappers.TimeLimit(WithHook(Line()), 3)
    assert apply_task(env, {"goal": 0.5}) == {}
    assert env.unwrapped.goal == 0.5
    drawn = SampledTasks(gymnasium.wrappers.TimeLimit(WithTasks(SetTaskLine()), 3))
    np.testing.assert_array_equal(drawn.sample(2, np.random.default_rng(0))["goal"], [0.5, 0.5])


class Drawing(Line):
    """Samples the tasks that it is made with."""

    def __init__(self, tasks):
        super().__init__()
        self.tasks = tasks

    def sample_tasks(self, n):
        return self.tasks


NUMBERS = "sample_tasks: task 'goal': expected numbers or arrays of numbers of one shape, got "


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ([{"goal": "north"}, {"goal": "south"}], f"{NUMBERS}'north'"),
        ([{"goal": {"x": 1.0}}], f"{NUMBERS}{{'x': 1.0}}"),
        ([{"goal": [1.0, [2.0]]}], f"{NUMBERS}[1.0, [2.0]]"),
        ([{"goal": 1.0}, {"goal": [1.0, 2.0]}], f"{NUMBERS}1.0 and [1.0, 2.0]"),
        ([{"goal": 1.0}, {"aim": 1.0}], "sample_tasks: expected tasks with the same keys, got ['goal'] and"),
        ([1.0], "sample_tasks: expected every task to be a dict with at least one key, got 1.0"),
        ({"goal": 1.0}, "sample_tasks: expected a list of tasks, got {'goal': 1.0}"),
    ],
)
def test_sampled_tasks_that_are_no_numbers_are_named(tasks, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        SampledTasks(Drawing(tasks)).sample(2, np.random.default_rng(0))


def test_a_hook_whose_name_is_misspelt_is_told():
    """Its tasks would go to options that nothing reads."""

    class Misspelt(Line):
        def settask(self, task): ...

        def sample_tasks(self, n):
            return [{"goal": 0.0}] * n

    with pytest.raises(ValueError, match=r"expected set_task\(task\), got settask; rename it"):
        apply_task(Misspelt(), {"goal": 0.5})
    said = Misspelt()
    said.reads_task_option = True
    assert apply_task(said, {"goal": 0.5}) == {"task": {"goal": 0.5}}
