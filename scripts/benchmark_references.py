"""Other simulators at the same work, for `benchmark.py sampler`: each a function that returns steps/s."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import gymnasium
import mujoco
import numpy as np
from metarl_envs.mujoco_batch import MujocoSimulation

from metarl.build import make_env, make_envs
from metarl.config import ExperimentConfig
from metarl.math.task_map import available_cpus

CORES = available_cpus()
SECONDS, GYMNASIUM_ENVS, ENVPOOL_ENVS = 1.5, 16, 64
BODIES = ("HalfCheetah", "Ant", "Humanoid", "Walker2d", "Hopper", "Swimmer")


def bare_references(config: ExperimentConfig, stack: ExitStack) -> dict[str, Callable[[], float]]:
    """What the cores can do: mj_step with nothing around it. Empty without a MuJoCo model."""
    envs: Any = make_envs(config, 1)
    simulation: Any = getattr(getattr(envs, "family", None), "simulation", None)
    envs.close()
    if getattr(simulation, "func", None) is not MujocoSimulation:
        return {}
    job = (*simulation.args, config.environment.horizon)
    context = multiprocessing.get_context("spawn")
    # The processes wait until all have started, so that each then takes one job.
    pool = stack.enter_context(context.Pool(CORES, context.Barrier(CORES).wait))
    return {
        f"limit: bare mj_step, one core x {CORES}": lambda: CORES * pool.apply(bare_rate, job),
        "limit: bare mj_step, all cores at once": lambda: sum(pool.starmap(bare_rate, [job] * CORES, 1)),
    }


def bare_rate(load_model: Callable[[], mujoco.MjModel], frame_skip: int, horizon: int) -> float:
    """Environment steps/s of mj_step on one thread, in episodes under random controls."""
    model = load_model()
    data = mujoco.MjData(model)
    low, high = model.actuator_ctrlrange.T
    controls = np.random.default_rng(0).uniform(low, high, (64, horizon, model.nu))

    def episode(number: int) -> None:
        mujoco.mj_resetData(model, data)
        for control in controls[number % 64]:
            data.ctrl[:] = control
            mujoco.mj_step(model, data, frame_skip)

    return rate_of(episode, horizon)


def vector_references(config: ExperimentConfig, stack: ExitStack) -> dict[str, Callable[[], float]]:
    """Gymnasium's vector environments, of the config's environment and of its own body; and EnvPool's."""
    environment, rates = config.environment, {}
    body = next((body for body in BODIES if f"/{body}" in environment.id), None)
    makers: dict[str, Callable[[], Any]] = {environment.id: partial(make_env, config)}
    if body:
        makers[f"{body}-v5"] = partial(gymnasium.make, f"{body}-v5")
    for vector in ("SyncVectorEnv", "AsyncVectorEnv"):
        for name, make in makers.items():
            envs: Any = getattr(gymnasium.vector, vector)([make] * GYMNASIUM_ENVS)
            stack.callback(envs.close)
            rates[f"{vector}, {GYMNASIUM_ENVS} x {name}"] = random_rate(envs, GYMNASIUM_ENVS)
    options = {"num_threads": CORES, "max_episode_steps": environment.horizon}
    for name in (f"{body}-v4", f"{body}-v5") if body and find_spec("envpool") else ():
        envs = import_module("envpool").make_gymnasium(name, num_envs=ENVPOOL_ENVS, **options)
        rates[f"EnvPool, {ENVPOOL_ENVS} x {name}"] = random_rate(envs, ENVPOOL_ENVS)
    return rates


def random_rate(envs: Any, num_envs: int) -> Callable[[], float]:
    """Environment steps/s of environments that reset themselves, under random actions."""
    space = getattr(envs, "single_action_space", envs.action_space)
    actions = [np.stack([space.sample() for _ in range(num_envs)]) for _ in range(64)]
    envs.reset()
    return lambda: rate_of(lambda number: envs.step(actions[number % 64]), num_envs)


def rate_of(call: Callable[[int], Any], steps: int) -> float:
    """Steps/s of numbered calls that take so many steps each."""
    started, calls = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - started) < SECONDS:
        call(calls)
        calls += 1
    return calls * steps / elapsed
