"""Whatever a public function of metarl_envs is given: it takes it, or its own line says what was expected."""

import gc

import gymnasium
import numpy as np
import pytest
from metarl_envs import (
    FAMILIES,
    Choice,
    Disc,
    Heading,
    LogUniform,
    TaskEnv,
    TaskSpace,
    Uniform,
    VectorTaskEnv,
    read_tasks,
    register_family,
    stack_tasks,
    tasks_from_data,
    tasks_to_data,
    unstack_tasks,
    write_tasks,
)
from metarl_envs.family import Family
from metarl_envs.foreign.adapters import SampledTasks, apply_task
from metarl_envs.foreign.meta_world import MetaWorldEnv
from metarl_envs.sb3_vec_env import TaskVecEnv, make_sb3_vec_env

from tests.support.wrong_arguments import check_told

POINT = "metarl/PointNavigation-v0"
FAMILY = gymnasium.make_vec(POINT, num_envs=1).unwrapped.family
SPACE = FAMILY.task_space
TASKS = {"goal": np.zeros((2, 2))}


def vector(**changed):
    envs = VectorTaskEnv(**{"num_envs": 2, "family": "PointNavigation", **changed})
    envs.reset(seed=0)
    return envs


def single(**changed):
    env = TaskEnv(**{"family": "PointNavigation", **changed})
    env.reset(seed=0)
    return env


def stable(**changed):
    envs = make_sb3_vec_env(**{"env_id": POINT, "num_envs": 2, **changed})
    envs.reset()
    return envs.venv


def family(**changed):
    given = {field: getattr(FAMILY, field) for field in FAMILY.__dataclass_fields__}
    return Family(**{**given, **changed})


def generator():
    return np.random.default_rng(0)


SEEDS = "none zero large"
RESETS = "none mapping"
CALLS = {
    "VectorTaskEnv": {
        "num_envs": (lambda one: vector(num_envs=one), ""),
        "family": (lambda one: vector(family=one), ""),
        "max_episode_steps": (lambda one: vector(max_episode_steps=one), "none"),
        "num_threads": (lambda one: vector(num_threads=one), "zero"),
        "autoreset_mode": (lambda one: vector(autoreset_mode=one), ""),
        "render_mode": (lambda one: vector(render_mode=one), "none"),
        "width": (lambda one: vector(width=one), ""),
        "preset": (lambda one: vector(preset=one), "none"),
        "action_scale": (lambda one: vector(action_scale=one), "half single large"),
        "observe_task": (lambda one: vector(observe_task=one), "true"),
        "terminate_at_goal": (lambda one: vector(terminate_at_goal=one), "none true"),
        "out_of_distribution": (lambda one: vector(out_of_distribution=one), "none"),
        "log_scale_limit": (
            lambda one: vector(family="HopperRandParams", log_scale_limit=one),
            "half single",
        ),
        "max_velocity": (lambda one: vector(family="HalfCheetahVel", max_velocity=one), "none half single"),
        "set_tasks": (lambda one: vector().set_tasks(one), ""),
        "set_tasks, each": (lambda one: vector().set_tasks([one, one]), ""),
        "set_tasks, values": (lambda one: vector().set_tasks({"goal": one}), "square"),
        "sample_tasks": (lambda one: vector().sample_tasks(one), ""),
        "seed_task_sampling": (lambda one: vector().seed_task_sampling(one), SEEDS),
        "current": (lambda one: vector().current(one), "zero"),
        "seed": (lambda one: vector().reset(seed=one), f"{SEEDS} pair"),
        "seeds": (lambda one: vector().reset(seed=[one, one]), SEEDS),
        "options": (lambda one: vector().reset(options=one), RESETS),
        "options, mixed": (lambda one: vector().reset(options={1: one, "a": one}), ""),
        "options, mask": (lambda one: vector().reset(options={"reset_mask": one}), ""),
        "options, tasks": (lambda one: vector().reset(options={"tasks": one}), ""),
        "options, task": (lambda one: vector().reset(options={"task": one}), ""),
        "step": (lambda one: vector().step(one), "square"),
        "step, rows": (lambda one: vector().step([one, one]), "pair"),
    },
    "TaskEnv": {
        "family": (lambda one: single(family=one), ""),
        "render_mode": (lambda one: single(render_mode=one), "none"),
        "height": (lambda one: single(height=one), ""),
        "set_task": (lambda one: single().set_task(one), ""),
        "set_task, value": (lambda one: single().set_task({"goal": one}), ""),
        "sample_tasks": (lambda one: single().sample_tasks(one), ""),
        "seed": (lambda one: single().reset(seed=one), SEEDS),
        "options": (lambda one: single().reset(options=one), RESETS),
        "options, task": (lambda one: single().reset(options={"task": one}), ""),
        "step": (lambda one: single().step(one), "pair"),
        "step, numbers": (lambda one: single().step([one, one]), "true half minus zero huge single"),
        "step, of MuJoCo": (
            lambda one: single(family="HalfCheetahVel").step([one] * 6),
            "true half minus zero huge single",
        ),
    },
    "TaskSpace": {
        "parameters": (TaskSpace, ""),
        "parameter": (lambda one: TaskSpace({"goal": one}), ""),
        "sample, n": (lambda one: SPACE.sample(one, generator()), ""),
        "sample, rng": (lambda one: SPACE.sample(2, one), ""),
        "sample_held_out": (lambda one: SPACE.sample_held_out(one, generator()), ""),
        "sample_held_out, rng": (lambda one: SPACE.sample_held_out(2, one), ""),
        "split, train": (lambda one: SPACE.split(one, 2, 0), ""),
        "split, held_out": (lambda one: SPACE.split(2, one, 0), ""),
        "split, seed": (lambda one: SPACE.split(2, 2, one), "zero"),
        "beyond": (SPACE.beyond, ""),
        "pack": (SPACE.pack, ""),
        "pack, values": (lambda one: SPACE.pack({"goal": one}), "square"),
        "unpack": (SPACE.unpack, "square"),
        "validate": (SPACE.validate, ""),
        "validate_batch": (lambda one: SPACE.validate_batch({"goal": [[0, 0]]}, one), ""),
    },
    "parameters": {
        "Uniform, low": (lambda one: Uniform(one, 1.0, default=0.5), "half minus zero single"),
        "Uniform, high": (lambda one: Uniform(0.0, one, default=0.0), "half zero huge single"),
        "Uniform, default": (lambda one: Uniform(0.0, 1.0, default=one), "half zero single"),
        "Uniform, widest": (lambda one: Uniform(0.0, 1.0, 0.5, one), "half minus zero large huge inf single"),
        "LogUniform, limit": (lambda one: LogUniform(one, (2,)), "large huge"),
        "LogUniform, shape": (lambda one: LogUniform(2.0, one), ""),
        "Choice, values": (lambda one: Choice(one, 1.0), "pair"),
        "Choice, default": (lambda one: Choice((0.5, 1.0), one), "half single"),
        "Heading": (Heading, "half minus zero single"),
        "Disc, radius": (lambda one: Disc(one, (0.0, 0.0)), "half large huge single"),
        "Disc, default": (lambda one: Disc(3.0, one), "pair"),
    },
    "Family": {
        "task_space": (lambda one: family(task_space=one), ""),
        "observation_size": (lambda one: family(observation_size=one), ""),
        "control_low": (lambda one: family(control_low=one), ""),
        "dt": (lambda one: family(dt=one), "half large huge single"),
        "simulation": (lambda one: family(simulation=one), "function"),
        "terminated": (lambda one: family(terminated=one), "function"),
        "action_scale": (lambda one: family(action_scale=one), "half large single"),
    },
    "tasks": {
        "stack_tasks": (stack_tasks, ""),
        "stack_tasks, task": (lambda one: stack_tasks([one, one]), "goal numbered"),
        "stack_tasks, others": (lambda one: stack_tasks([{"goal": 1}, one]), "goal"),
        "stack_tasks, value": (
            lambda one: stack_tasks([{"goal": one}]),
            "true half minus zero huge nan inf pair vector square single nothing",
        ),
        "unstack_tasks": (lambda one: list(unstack_tasks(one)), ""),
        "unstack_tasks, values": (lambda one: list(unstack_tasks({"goal": one})), "vector square"),
        "tasks_to_data": (tasks_to_data, ""),
        "tasks_from_data": (lambda one: tasks_from_data(SPACE, one), ""),
        "tasks_from_data, space": (lambda one: tasks_from_data(one, [{"goal": [0, 0]}]), ""),
        "read_tasks": (lambda one: read_tasks(one, SPACE), ""),
        "read_tasks, space": (lambda one: (write_tasks("a.json", TASKS), read_tasks("a.json", one)), ""),
        "write_tasks": (lambda one: write_tasks(one, TASKS), ""),
        "write_tasks, tasks": (lambda one: write_tasks("b.json", one), ""),
    },
    "others": {
        "register_family, name": (lambda one: register_family(one, lambda: FAMILY, 3), "text"),
        "register_family, builder": (lambda one: register_family("Other", one, 3), "function"),
        "register_family, horizon": (lambda one: register_family("Another", len, one), ""),
        "apply_task": (lambda one: apply_task(single(), one), ""),
        "apply_task, env": (lambda one: apply_task(one, {"goal": [0, 0]}), ""),
        "SampledTasks": (SampledTasks, ""),
        "SampledTasks, sample": (lambda one: SampledTasks(single()).sample(one, generator()), ""),
        "SampledTasks, validate": (lambda one: SampledTasks(single()).validate(one), "goal numbered"),
        "MetaWorldEnv": (MetaWorldEnv, ""),
        "MetaWorldEnv, env_name": (lambda one: MetaWorldEnv("ML1", one), ""),
        "MetaWorldEnv, split": (lambda one: MetaWorldEnv("ML10", split=one), ""),
    },
    "stable-baselines3": {
        "make, env_id": (lambda one: stable(env_id=one), ""),
        "make, num_envs": (lambda one: stable(num_envs=one), ""),
        "make, task": (lambda one: stable(task=one), "none"),
        "make, tasks": (lambda one: stable(tasks=one), "none"),
        "make, seed": (lambda one: stable(seed=one), SEEDS),
        "TaskVecEnv": (TaskVecEnv, ""),
        "seed": (lambda one: stable().seed(one), SEEDS),
        "step": (lambda one: stable().step(one), "square"),
        "set_options": (lambda one: stable().set_options(one), RESETS),
        "env_method": (lambda one: stable().env_method(one), ""),
        "env_method, set_task": (lambda one: stable().env_method("set_task", one), ""),
        "env_method, indices": (
            lambda one: stable().env_method("get_task", indices=one),
            "none minus zero empty nothing mapping numbered group",
        ),
    },
}


IDS = ("metarl/text-v0", "metarl/Other-v0")


@pytest.mark.parametrize(
    ("call", "taken"),
    [pytest.param(*call, id=f"{of}: {name}") for of, calls in CALLS.items() for name, call in calls.items()],
)
@pytest.mark.filterwarnings("ignore:.*Overriding environment")
def test_it_is_taken_or_told_in_one_line_of_its_own(tmp_path, monkeypatch, call, taken):
    monkeypatch.chdir(tmp_path)
    for registered, names in ((FAMILIES, ("text", "Other")), (gymnasium.registry, IDS)):
        for name in names:
            monkeypatch.setitem(registered, name, None)
            del registered[name]
    check_told(call, taken)
    gc.collect()


@pytest.mark.parametrize("name", ["PointNavigation", "HalfCheetahVel"])
def test_one_that_was_closed_starts_again(name):
    env, envs = single(family=name), vector(family=name)
    for one in (env, envs):
        first = one.reset(seed=3)[0]
        one.close()
        one.close()
        np.testing.assert_array_equal(one.reset(seed=3)[0], first)
        one.step(np.zeros(one.action_space.shape))
