"""Meta-World behind metarl's ids, with a stand-in for its package."""

import sys
from collections import Counter, namedtuple
from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest
from metarl_envs.foreign.meta_world import balanced, load_benchmark

from metarl.errors import ConfigError
from metarl.experiment.build import build_experiment

GOALS = 50
TRAIN, TEST = ("push-v3", "reach-v3", "sweep-v3"), ("door-v3", "lever-v3")
MetaWorldTask = namedtuple("MetaWorldTask", ["env_name", "goal"])


class Arm:
    """A stand-in for a Meta-World environment: the observation tells its name and goal."""

    built: tuple[str, ...] = ()
    name = ""

    def __init__(self):
        Arm.built += (self.name,)

    def set_task(self, task):
        assert task.env_name == self.name, "a task of another manipulation"
        self.goal = task.goal

    def reset(self):
        return np.full(39, self.goal), {}

    def step(self, action):
        return np.full(39, self.goal), np.float64(1.5), False, False, {"success": 1.0}

    def close(self):
        Arm.built = tuple(name for name in Arm.built if name != self.name)


class Benchmark:
    """Goals differ with the seed; ML1's training and test manipulation is the same one."""

    ENV_NAMES = (*TRAIN, *TEST)

    def __init__(self, env_name=None, seed=None):
        train, test = ((env_name,), (env_name,)) if env_name else (TRAIN, TEST)
        self.train_classes, self.test_classes = (
            {name: type(name, (Arm,), {"name": name}) for name in names} for names in (train, test)
        )
        self.train_tasks = [MetaWorldTask(n, 1000.0 * seed + g) for n in train for g in range(GOALS)]
        self.test_tasks = [MetaWorldTask(n, 1000.0 * seed + 500 + g) for n in test for g in range(GOALS)]


@pytest.fixture
def stand_in(monkeypatch):
    module = SimpleNamespace(ML1=Benchmark, ML10=Benchmark, ML45=Benchmark)
    monkeypatch.setitem(sys.modules, "metaworld", module)
    load_benchmark.cache_clear()
    Arm.built = ()
    yield
    load_benchmark.cache_clear()


def make(benchmark="ML10", **options):
    return gymnasium.make(f"metarl/MetaWorld{benchmark}-v0", **options)


def names(tasks):
    return [(TRAIN + TEST)[int(task["index"]) // GOALS] for task in tasks]


@pytest.mark.usefixtures("stand_in")
def test_an_index_is_a_task_of_the_training_list_then_of_the_test_list():
    env = make(seed=2)
    for index, goal in ((0, 2000), (149, 2049), (150, 2500), (249, 2549)):
        env.unwrapped.set_task({"index": float(index)})
        observation, _ = env.reset()
        assert (observation == goal).all()
        _, reward, terminated, truncated, info = env.step(env.action_space.sample())
        assert (reward, terminated, truncated, info["success"]) == (1.5, False, False, 1.0)
        assert env.unwrapped.get_task() == {"index": index}


@pytest.mark.usefixtures("stand_in")
def test_ml1_trains_and_tests_one_manipulation_on_other_goals():
    env = make("ML1", env_name="reach-v3", seed=1)
    train, test = env.unwrapped.sample_tasks(20), env.unwrapped.sample_held_out_tasks(20)
    assert max(task["index"] for task in train) < GOALS <= min(task["index"] for task in test)
    env.unwrapped.set_task(test[0])
    assert env.reset()[0][0] == 1000 + 500 + test[0]["index"] - GOALS
    assert Arm.built == ("reach-v3",)


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(("split", "expected"), [("train", TRAIN), ("test", TEST)])
def test_sampled_tasks_are_balanced_over_the_manipulations_of_the_split(split, expected):
    env = make(split=split).unwrapped
    env.reset(seed=3)
    whole, more = env.sample_tasks(4 * len(expected)), env.sample_tasks(4 * len(expected) + 1)
    assert Counter(names(whole)) == dict.fromkeys(expected, 4)
    assert set(Counter(names(more)).values()) == {4, 5}
    assert names(whole) == list(expected) * 4, "a place in the list keeps its manipulation"
    assert len({task["index"] for task in whole}) == len(whole)
    assert set(names(env.sample_held_out_tasks(8))) == set(TEST)
    env.reset(seed=3)
    assert env.sample_tasks(4 * len(expected)) == whole
    assert env.sample_tasks(4 * len(expected)) != whole


def test_no_goal_comes_twice_before_all_came_and_every_group_is_left_over_alike():
    rng = np.random.default_rng(0)
    chosen = balanced(["a"] * 3 + ["b"] * 3, 12, rng)
    assert sorted(chosen[:6]) == sorted(chosen[6:]) == list(range(6))
    rest = Counter(balanced(["a", "b", "c"], 4, rng)[3] for _ in range(600))
    assert all(150 < count < 250 for count in rest.values())


@pytest.mark.usefixtures("stand_in")
def test_one_simulation_is_held_at_a_time():
    env = make()
    for index in (0, 1, 60, 61, 149):
        env.unwrapped.set_task({"index": index})
        env.reset()
        assert Arm.built == (TRAIN[index // GOALS],)
    env.close()
    assert Arm.built == ()


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(
    ("benchmark", "options", "message"),
    [
        ("ML1", {}, "expected env_name, .* for ML1 alone, got None"),
        ("ML10", {"env_name": "reach-v3"}, "ML10: expected env_name, .* for ML1 alone, got 'reach-v3'"),
        ("ML1", {"env_name": "fly-v3"}, r"expected env_name to be one of \['push-v3'.*got 'fly-v3'"),
        ("ML45", {"split": "held-out"}, 'expected split to be "train" or "test", got \'held-out\''),
    ],
)
def test_what_a_benchmark_does_not_have_is_told(benchmark, options, message):
    with pytest.raises(ValueError, match=message):
        make(benchmark, **options)


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("task", [{}, {"index": 250}, {"index": -1}, {"index": 1.5}, {"goal": 1}])
def test_what_is_no_task_is_told(task):
    with pytest.raises(ValueError, match=r"expected a task \{'index': 0 to 249\}, got"):
        make().unwrapped.set_task(task)


@pytest.mark.usefixtures("stand_in")
def test_an_evaluation_uses_the_test_tasks(small_config):
    settings = ("--environment.id", "metarl/MetaWorldML10-v0", "--environment.vectorization", "sync")
    experiment = build_experiment(small_config(*settings, "--environment.options", "{}"))
    assert (experiment.held_out_tasks(9, 0)["index"] >= len(TRAIN) * GOALS).all()
    assert (
        experiment.task_distribution.sample(9, np.random.default_rng(0))["index"] < len(TRAIN) * GOALS
    ).all()


def test_without_meta_world_one_line_says_what_to_install(monkeypatch, small_config):
    monkeypatch.setitem(sys.modules, "metaworld", None)
    load_benchmark.cache_clear()
    settings = ("--environment.id", "metarl/MetaWorldML10-v0", "--environment.options", "{}")
    with pytest.raises(ConfigError, match=r'expected Meta-World, .* pip install "\.\[metaworld\]"'):
        build_experiment(small_config(*settings, "--environment.vectorization", "async"))
