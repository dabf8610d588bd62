"""What every registered environment refuses, and that its message says what was expected."""

import re

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from metarl_envs import TaskEnv, VectorTaskEnv

from tests.support.trajectories import IDS, existing_presets

pytestmark = pytest.mark.parametrize("case", IDS, ids=str)
PRESETS = {
    "PointNavigation": ["maml"],
    "SparsePoint": ["pearl"],
    "HalfCheetahVel": ["maml", "pearl", "promp"],
    "HalfCheetahDir": ["maml", "pearl", "promp"],
    "AntVel": ["maml"],
    "AntDir": ["maml", "pearl", "promp"],
    "AntDir2D": ["pearl", "promp"],
    "AntGoal": ["maml", "pearl", "promp"],
    "HumanoidDir2D": ["pearl", "promp"],
    "SwimmerVel": ["promp"],
    "Walker2DDir": ["promp"],
    "Walker2DVel": ["promp"],
    "HopperRandParams": ["pearl"],
    "Walker2DRandParams": ["pearl"],
}


@pytest.fixture
def envs(case):
    """Three, after their reset."""
    envs = case.make_vec(3).unwrapped
    envs.reset(seed=0)
    return envs


def zeros(envs):
    return np.zeros(envs.action_space.shape)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_actions_that_are_not_finite(case, envs, bad):
    actions = zeros(envs)
    actions[1, -1] = bad
    with pytest.raises(ValueError, match=r"expected finite actions.*for environment 1"):
        envs.step(actions)


def test_actions_of_another_shape(case, envs):
    for actions in (zeros(envs)[0], zeros(envs)[:2], zeros(envs)[:, 1:], zeros(envs)[..., None]):
        with pytest.raises(ValueError, match=re.escape(f"expected actions of shape {zeros(envs).shape}")):
            envs.step(actions)
    env = case.make().unwrapped
    env.reset(seed=0)
    with pytest.raises(ValueError, match="expected actions of shape"):
        env.step(zeros(envs)[0, 1:])


def test_step_before_reset(case, envs):
    with pytest.raises(RuntimeError, match=r"expected reset\(\) before the first step"):
        case.make_vec(3).unwrapped.step(zeros(envs))
    with pytest.raises(RuntimeError, match=r"expected reset\(\) before the first step"):
        case.make().unwrapped.step(zeros(envs)[0])


def bad_tasks(task):
    """(task, what the message says)"""
    name = next(iter(task))
    yield {**task, "nonsense": 1.0}, "expected a task with keys"
    yield {}, "expected a task with keys"
    yield {**task, name: np.full(np.shape(task[name]), 1e9)}, f"task '{name}': expected a value"
    yield {**task, name: np.full(np.shape(task[name]), np.nan)}, f"task '{name}': expected a value"
    yield {**task, name: np.zeros((7, 7))}, f"task '{name}': expected shape"
    yield {**task, name: "fast"}, f"task '{name}': expected numbers"


def test_tasks_outside_the_task_space_change_nothing(case, envs):
    single = case.make().unwrapped
    good = case.tasks(3)
    envs.set_tasks(good)
    single.set_task(good[0])
    before = envs.get_tasks()
    for task, message in bad_tasks(good[0]):
        with pytest.raises(ValueError, match=message):
            envs.set_tasks([good[1], good[1], task])
        with pytest.raises(ValueError, match=message):
            envs.reset(options={"task": task})
        with pytest.raises(ValueError, match=message):
            single.set_task(task)
        with pytest.raises(ValueError, match=message):
            single.reset(options={"task": task})
        together = {name: [good[0].get(name, 0.0), task[name], task[name]] for name in task}
        with pytest.raises(ValueError, match="expected"):
            envs.set_tasks(together)
    assert data_equivalence(envs.get_tasks(), before)
    assert data_equivalence(single.get_task(), good[0])


def test_another_number_of_tasks_or_seeds_than_environments(case, envs):
    with pytest.raises(ValueError, match="expected 3 tasks, one per environment, got 2"):
        envs.set_tasks(case.tasks(2))
    with pytest.raises(ValueError, match="expected 3 tasks, one per environment, got 4"):
        envs.reset(options={"tasks": envs.family.task_space.sample(4, np.random.default_rng(0))})
    with pytest.raises(ValueError, match="expected 3 tasks, one per environment, got 1"):
        envs.set_tasks(dict.fromkeys(envs.get_tasks(), 1.0))
    with pytest.raises(ValueError, match="expected 3 seeds, one per environment, got 2"):
        envs.reset(seed=[1, 2])
    with pytest.raises(ValueError, match="expected the number of tasks to sample >= 1, got 0"):
        envs.sample_tasks(0)


@pytest.mark.parametrize("mask", [[True, False, True], np.ones(2, bool), np.ones(3), np.zeros(3, bool), None])
def test_reset_masks(case, envs, mask):
    with pytest.raises(
        ValueError, match=r"expected options\['reset_mask'\] to be a bool array of shape \(3,\)"
    ):
        envs.reset(options={"reset_mask": mask})


def test_unknown_presets_with_a_list_of_those_that_exist(case):
    presets = PRESETS[case.env_id.removeprefix("metarl/").removesuffix("-v0")]
    assert existing_presets(case.env_id) == presets
    message = re.escape(f"expected preset to be one of {presets}, got 'best'")
    with pytest.raises(ValueError, match=message):
        gymnasium.make(case.env_id, preset="best")
    with pytest.raises(ValueError, match=message):
        gymnasium.make_vec(case.env_id, num_envs=2, preset="best")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"action_scale": 0}, "expected a finite action_scale > 0, got 0"),
        ({"action_scale": -1.0}, "expected a finite action_scale > 0"),
        ({"action_scale": np.nan}, "expected a finite action_scale > 0"),
        ({"speed": 1}, r"expected options among \[.*'preset', .*\], got 'speed'"),
        ({"autoreset_mode": "Never"}, "expected autoreset_mode to be one of .*, got 'Never'"),
        ({"num_envs": 0}, "expected num_envs >= 1, got 0"),
    ],
    ids=str,
)
def test_options(case, options, message):
    with pytest.raises(ValueError, match=message):
        case.make_vec(**{"num_envs": 2, **options})
    if set(options) <= {"action_scale", "speed"}:
        with pytest.raises(ValueError, match=message):
            case.make(**options)


def test_unknown_families_with_a_list_of_those_that_exist(case):
    name = case.env_id.removeprefix("metarl/").removesuffix("-v0")
    for build in (lambda: TaskEnv("Nonsense"), lambda: VectorTaskEnv(2, "Nonsense")):
        with pytest.raises(ValueError, match=f"expected a family among .*'{name}'.*, got 'Nonsense'"):
            build()
