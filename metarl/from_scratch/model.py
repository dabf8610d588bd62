"""The environments and the model that learn a task from scratch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import gymnasium
from metarl_envs.sb3_vec_env import make_sb3_vec_env
from metarl_envs.tasks import unstack_tasks
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.type_aliases import TrainFreq
from stable_baselines3.common.vec_env import VecEnv

from metarl.errors import ConfigError
from metarl.experiment.environments import held_out_tasks, vectorization
from metarl.experiment.experiments import ScratchExperiment
from metarl.policies.algorithms import find_algorithm
from metarl.policies.torch_module import ACTIVATIONS


def check_from_scratch(config: ScratchExperiment) -> None:
    """Builds what learning from scratch needs, and nothing more.

    Raises:
        ConfigError: an environment without native batch, or settings that the algorithm refuses.
    """
    task = next(unstack_tasks(held_out_tasks(config, 1, 0)))
    with closing(make_vec_env(config, int(config.from_scratch.num_envs), task)) as envs:
        make_model(config, envs, 0)


def make_vec_env(config: ScratchExperiment, num_envs: int, task: Mapping[str, Any]) -> VecEnv:
    """Environments of one task for stable-baselines3.

    Raises:
        ConfigError: no such environment, or none with a native batch.
    """
    environment, kind = config.environment, vectorization(config.environment)
    if kind != "native":
        raise ConfigError(
            f"environment: expected one of metarl's natively batched environments, got {environment.id!r} "
            f"with vectorization {kind}"
        )
    try:
        return make_sb3_vec_env(
            environment.id,
            num_envs,
            task=task,
            max_episode_steps=environment.horizon,
            num_threads=config.sampling.num_threads,
            **environment.options,
        )
    except (gymnasium.error.Error, ValueError, ModuleNotFoundError) as error:
        raise ConfigError(f"environment: {error}") from error


def make_model(config: ScratchExperiment, envs: VecEnv, seed: int) -> BaseAlgorithm:
    """The untrained model.

    Raises:
        ConfigError: the algorithm refuses its settings.
    """
    settings, policy = config.from_scratch, config.policy
    kind = find_algorithm(settings.algorithm.upper())
    network = {"net_arch": list(policy.hidden_sizes), "activation_fn": ACTIVATIONS[policy.activation]}
    if issubclass(kind, OnPolicyAlgorithm):
        network["log_std_init"] = math.log(policy.initial_std)
    try:
        model = kind("MlpPolicy", envs, policy_kwargs=network, seed=seed, device="cpu", **settings.settings)
    except (TypeError, ValueError, AssertionError) as error:
        raise ConfigError(
            f"from_scratch.settings: expected what {kind.__name__} takes, got {settings.settings}: {error}"
        ) from error
    model.set_logger(Logger(folder=None, output_formats=[]))
    return model


def steps_between_updates(model: BaseAlgorithm) -> int:
    """Environment steps that are sampled before the model learns from them."""
    if isinstance(model, OnPolicyAlgorithm):
        return model.n_steps * model.n_envs
    assert isinstance(model, OffPolicyAlgorithm)
    assert isinstance(model.train_freq, TrainFreq)
    return model.train_freq.frequency * model.n_envs
