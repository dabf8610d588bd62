"""Other simulators doing the same work, for `benchmark.py sampler`: each a function that returns steps/s."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import gymnasium
import numpy as np
from metarl_envs.sb3_vec_env import make_sb3_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

from metarl.benchmarks.bare_mujoco import CORES, rate_of
from metarl.experiment.environments import make_env, vectorization
from metarl.experiment.experiments import ExperimentConfig

GYMNASIUM_ENVS, ENVPOOL_ENVS, NATIVE_ENVS = 16, 64, 64
BODIES = {body.lower(): body for body in ("HalfCheetah", "Ant", "Humanoid", "Walker2d", "Hopper", "Swimmer")}
OTHER_FRAME_SKIP = ("Walker2d", "Hopper")  # than Gymnasium's, in the papers' families


def vector_references(config: ExperimentConfig, stack: ExitStack) -> dict[str, Callable[[], float]]:
    """Gymnasium's vector environments, of the config's environment and of its own body."""
    body, rates = body_of(config), {}
    makers: dict[str, Callable[[], Any]] = {config.environment.id: partial(make_env, config)}
    if body:
        makers[f"{body}-v5"] = partial(gymnasium.make, f"{body}-v5")
    for vector in ("SyncVectorEnv", "AsyncVectorEnv"):
        for name, make in makers.items():
            envs: Any = getattr(gymnasium.vector, vector)([make] * GYMNASIUM_ENVS)
            stack.callback(envs.close)
            rates[f"{vector}, {GYMNASIUM_ENVS} x {name}"] = random_rate(envs, GYMNASIUM_ENVS)
    return rates


def sb3_references(config: ExperimentConfig, stack: ExitStack) -> dict[str, Callable[[], float]]:
    """Stable-baselines3's vector environments: of copies, and of a native batch, with the bare batch."""
    env_id, rates = config.environment.id, {}
    if vectorization(config.environment) != "native":
        return {}
    for vector in (SubprocVecEnv, DummyVecEnv):
        copies = vector([partial(make_env, config)] * GYMNASIUM_ENVS)
        stack.callback(copies.close)
        rates[f"{vector.__name__}, {GYMNASIUM_ENVS} x {env_id}"] = random_rate(copies, GYMNASIUM_ENVS)
    options = {**config.environment.options, "max_episode_steps": config.environment.horizon}
    native = {
        "make_sb3_vec_env": make_sb3_vec_env(env_id, NATIVE_ENVS, **options),
        "make_vec": gymnasium.make_vec(env_id, NATIVE_ENVS, autoreset_mode="SameStep", **options),
    }
    for name, envs in native.items():
        rates[f"{name}, {NATIVE_ENVS} x {env_id}"] = random_rate(envs, NATIVE_ENVS)
    return rates


def envpool_references(config: ExperimentConfig) -> dict[str, Callable[[], float]]:
    """EnvPool's environments of the config's body, if it is installed and its steps are as long as ours."""
    body, rates = body_of(config), {}
    if body in OTHER_FRAME_SKIP:
        return {}
    options = {"num_threads": CORES, "max_episode_steps": config.environment.horizon}
    for name in (f"{body}-v4", f"{body}-v5") if body and find_spec("envpool") else ():
        envs = import_module("envpool").make_gymnasium(name, num_envs=ENVPOOL_ENVS, **options)
        rates[f"EnvPool, {ENVPOOL_ENVS} x {name}"] = random_rate(envs, ENVPOOL_ENVS)
    return rates


def body_of(config: ExperimentConfig) -> str | None:
    """Gymnasium's name of the body that the environment is about."""
    name = config.environment.id.lower()
    return next((body for key, body in BODIES.items() if f"/{key}" in name), None)


def random_rate(envs: Any, num_envs: int) -> Callable[[], float]:
    """Environment steps/s of environments that reset themselves, under random actions."""
    space = getattr(envs, "single_action_space", envs.action_space)
    actions = [np.stack([space.sample() for _ in range(num_envs)]) for _ in range(64)]
    envs.reset()

    def step(number: int) -> int:
        envs.step(actions[number % 64])
        return num_envs

    return lambda: rate_of(step)
