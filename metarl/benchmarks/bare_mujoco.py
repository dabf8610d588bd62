"""The upper bound of the cores: mj_step with nothing around it, through the environment's own episodes."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NamedTuple

import mujoco
import numpy as np
from metarl_envs.physics.mujoco_batch import MujocoSimulation
from metarl_envs.vector_env import VectorTaskEnv

from metarl.compute.task_map import available_cpus
from metarl.experiment.environments import make_envs
from metarl.experiment.experiments import ExperimentConfig

CORES = available_cpus()
SECONDS, EPISODES = 1.5, 64


class Episodes(NamedTuple):
    """Starts [episode, ...], controls [episode, time, control], lengths [episode]; MjModel arrays by name."""

    load_model: Callable[[], mujoco.MjModel]
    frame_skip: int
    qpos: Any
    qvel: Any
    controls: Any
    lengths: Any
    physics: dict[str, Any]


def bare_references(config: ExperimentConfig, stack: ExitStack) -> dict[str, Callable[[], float]]:
    """Environment steps/s of plain mj_step on all cores. Empty without a MuJoCo model."""
    envs = make_envs(config, EPISODES)
    if not isinstance(envs, VectorTaskEnv) or not is_mujoco(envs):
        envs.close()
        return {}
    deviation = config.policy.settings.get("initial_std", 1.0)
    job = (record(envs, config.environment.horizon, deviation),)
    envs.close()
    context = multiprocessing.get_context("spawn")
    # The processes wait until all have started, so that each then takes one job.
    pool = stack.enter_context(context.Pool(CORES, context.Barrier(CORES).wait))
    return {
        f"limit: bare mj_step, one core x {CORES}": lambda: CORES * pool.apply(bare_rate, job),
        "limit: bare mj_step, all cores at once": lambda: sum(pool.starmap(bare_rate, [job] * CORES, 1)),
    }


def is_mujoco(envs: VectorTaskEnv) -> bool:
    return getattr(envs.family.simulation, "func", None) is MujocoSimulation


def record(envs: VectorTaskEnv, horizon: int, deviation: float) -> Episodes:
    """Episodes under Gaussian actions, as an untrained policy's."""
    rng, family = np.random.default_rng(0), envs.family
    tasks = family.task_space.sample(envs.num_envs, rng)
    envs.reset(seed=0, options={"tasks": tasks})
    start, controls, lengths = envs.state, [], np.zeros(envs.num_envs, dtype=int)
    for _ in range(horizon):
        actions = deviation * rng.standard_normal((envs.num_envs, len(family.control_low)))
        info = envs.step(actions)[-1]
        controls.append(family.control(actions))
        lengths += info["_task"]
    simulation: Any = family.simulation
    physics = {} if family.physics is None else dict(family.physics(tasks))
    load_model, frame_skip = simulation.args
    return Episodes(
        load_model, frame_skip, start.qpos, start.qvel, np.stack(controls, axis=1), lengths, physics
    )


def bare_rate(episodes: Episodes) -> float:
    """Environment steps/s of mj_step on one thread."""
    model = episodes.load_model()
    data = mujoco.MjData(model)
    scratch = mujoco.MjData(model)

    def play(number: int) -> int:
        i = number % EPISODES
        for name, values in episodes.physics.items():
            getattr(model, name)[:] = values[i]
        if episodes.physics:
            mujoco.mj_setConst(model, scratch)
        mujoco.mj_resetData(model, data)
        data.qpos[:], data.qvel[:] = episodes.qpos[i], episodes.qvel[i]
        for control in episodes.controls[i, : episodes.lengths[i]]:
            data.ctrl[:] = control
            mujoco.mj_step(model, data, episodes.frame_skip)
        return int(episodes.lengths[i])

    return rate_of(play)


def rate_of(call: Callable[[int], int]) -> float:
    """Steps/s of numbered calls, each of which returns how many steps it took."""
    started, calls, steps = time.perf_counter(), 0, 0
    while (elapsed := time.perf_counter() - started) < SECONDS:
        steps += call(calls)
        calls += 1
    return steps / elapsed
