"""Trained policies: load a run, adapt to a task, act."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from metarl.adaptation.meta_batch import adapt_tasks
from metarl.errors import RunError
from metarl.experiment.build import Experiment, build_experiment
from metarl.experiment.config import scale_later_steps
from metarl.math.parameters import Parameters, repeat, select
from metarl.policies.stable_baselines import to_sb3
from metarl.rollouts.advantages import compute_advantages
from metarl.rollouts.episodes import collect_episodes, within
from metarl.rollouts.rollout import Rollout
from metarl.runs.checkpoint import load_policy, load_snapshots, save_policy
from metarl.runs.description import describe
from metarl.runs.files import CHECKPOINT, POLICY, PROGRESS
from metarl.runs.run_config import config_digest, load_run_config, save_run_config


def load(
    run_dir: str | Path,
    device: str = "cpu",
    *,
    iteration: int | None = None,
    later_step_scale: float | None = None,
    environment_options: Mapping[str, Any] | None = None,
    trust: bool = False,
) -> MetaPolicy:
    """Loads the meta-policy of a run folder, or an adapted policy that was saved.

    Nothing in the folder is executed, unless its environment's id names a module ("my_package:MyEnv-v0"),
    which would be imported: such a folder is refused without `trust`.

    Args:
        iteration: of a policy that `training.snapshot_every` kept; None for the last one.
        later_step_scale: scales inner steps after the first, instead of the scale in training; Finn et al.
            2017 halve them in their tests.
        environment_options: added to the run's, e.g. {"out_of_distribution": 1.5}.
        trust: import the module that the folder's environment names.

    Raises:
        RunError: the folder is missing, foreign or damaged, its config is not that of its policy, it holds no
            policy of that iteration, or it names a module and is not trusted.
        ConfigError: the device is not there, the environment does not take the options, or the learner has no
            `later_step_scale`.

    Warns:
        UserWarning: the files are of version 0.1.0, which does not tie the config to the policy.
    """
    folder = Path(run_dir)
    config = load_run_config(folder)
    if ":" in config.environment.id and not trust:
        raise RunError(
            "environment.id: expected an environment that is already registered, got "
            f"{config.environment.id!r}, whose module would be imported: pass trust=True (--trust) if you "
            "trust this folder"
        )
    if later_step_scale is not None:
        config = scale_later_steps(config, later_step_scale)
    if environment_options:
        options = {**config.environment.options, **environment_options}
        config = replace(config, environment=replace(config.environment, options=options))
    experiment = build_experiment(replace(config, training=replace(config.training, device=device)))
    parameters = load_policy(folder).parameters if iteration is None else _snapshot(folder, iteration)
    expected = experiment.learner.initial_state(torch.Generator()).parameters
    if {n: v.shape for n, v in expected.items()} != {n: v.shape for n, v in parameters.items()}:
        raise RunError(f"{folder / POLICY}: its parameters are not those of the policy in the run's config")
    on_device = {name: value.to(experiment.device) for name, value in parameters.items()}
    return MetaPolicy(experiment, on_device)


def _snapshot(folder: Path, iteration: int) -> Parameters:
    kept = {one.iteration: one.state.parameters for one in load_snapshots(folder)}
    if iteration not in kept:
        raise RunError(
            f"{folder}: expected one of the iterations whose policies were kept, {sorted(kept)}, "
            f"got {iteration}; training.snapshot_every keeps them"
        )
    return kept[iteration]


class AdaptedPolicy:
    """A policy for one task, with stable-baselines3's `predict`.

    Attributes:
        returns: mean return before every inner step, and after the last one where that was measured.
    """

    def __init__(
        self, experiment: Experiment, parameters: Parameters, returns: tuple[float, ...] = ()
    ) -> None:
        self.experiment = experiment
        self.parameters = parameters
        self.returns = returns
        self._generator = torch.Generator(experiment.device)

    def predict(
        self,
        observation: NDArray[Any],
        state: tuple[NDArray[Any], ...] | None = None,
        episode_start: NDArray[Any] | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[Any], tuple[NDArray[Any], ...] | None]:
        """The action for an observation, or the actions for a batch of them, clipped to the action space.

        Args:
            observation: [observation] or [env, observation].
            state, episode_start: of recurrent policies in stable-baselines3; not used.
            deterministic: take the mean instead of drawing.

        Raises:
            ValueError: an observation of another size.
        """
        log_std = self.parameters["log_std"]
        batch = torch.as_tensor(np.asarray(observation), dtype=log_std.dtype, device=log_std.device)
        if batch.ndim not in (1, 2) or batch.shape[-1] != self.experiment.policy.observation_size:
            size = self.experiment.policy.observation_size
            raise ValueError(f"expected observations [{size}] or [env, {size}], got {list(batch.shape)}")
        with torch.inference_mode():
            mean, spread = self.experiment.policy(self.parameters, batch)
            if not deterministic:
                noise = torch.randn(
                    mean.shape, generator=self._generator, dtype=mean.dtype, device=mean.device
                )
                mean = mean + spread.exp() * noise
        return within(self.experiment.action_space, mean.cpu().numpy()), state

    def set_random_seed(self, seed: int) -> None:
        """Makes the draws of `predict` repeatable."""
        self._generator.manual_seed(seed)

    def save(self, folder: str | Path) -> None:
        """Writes the policy where `metarl.load` reads it.

        Raises:
            RunError: the folder cannot be written, or holds a training run.
        """
        target = Path(folder)
        if any((target / name).exists() for name in (CHECKPOINT, PROGRESS)):
            raise RunError(f"expected a folder of its own for the policy, got the training run in {target}")
        try:
            target.mkdir(parents=True, exist_ok=True)
            description = replace(describe(self.experiment), kind="meta_policy")
            save_run_config(target, self.experiment.config)
            save_policy(target, self.parameters, config_digest(target), description)
        except OSError as error:
            raise RunError(f"expected a folder to write to, got {target}: {error.strerror}") from error

    def to_sb3(
        self,
        algorithm: str | type[BaseAlgorithm],
        env: gymnasium.Env[Any, Any] | VecEnv,
        **settings: Any,
    ) -> OnPolicyAlgorithm:
        """A stable-baselines3 model that goes on from here: `adapted.to_sb3("PPO", env).learn(10_000)`.

        Its actor is this policy: deterministic actions agree to rounding. Its critic is fresh.

        Args:
            algorithm: "PPO", "A2C", sb3-contrib's "TRPO" where it is installed, or a class.
            env: with the run's observation and action spaces, and the task set.
            settings: keyword arguments of the algorithm, e.g. `n_steps`.

        Raises:
            ValueError: an algorithm, environment or setting that does not fit.
        """
        self._check_fits(env)
        return to_sb3(algorithm, self.experiment.policy, self.parameters, env, **settings)

    def _check_fits(self, env: gymnasium.Env[Any, Any] | VecEnv) -> None:
        if not isinstance(env, (gymnasium.Env, VecEnv)):
            raise ValueError(
                f"expected a gymnasium.Env or a stable-baselines3 VecEnv, got {type(env).__name__}; "
                "metarl_envs.sb3_vec_env.make_sb3_vec_env makes one of a native batch"
            )
        policy = self.experiment.policy
        expected = (policy.observation_size, policy.action_size)
        got = tuple(int(np.prod(s.shape or ())) for s in (env.observation_space, env.action_space))
        if got != expected:
            raise ValueError(f"expected observation and action sizes {expected}, as in training, got {got}")
        trained, given = self.experiment.action_space, env.action_space
        same = isinstance(given, gymnasium.spaces.Box) and all(
            np.array_equal(a.ravel(), b.ravel())
            for a, b in ((trained.low, given.low), (trained.high, given.high))
        )
        if not same:
            raise ValueError(
                f"expected the action space of training, {trained}, got {given}; metarl's environments "
                "take action_scale"
            )


class MetaPolicy(AdaptedPolicy):
    """The meta-parameters of a run: a policy that acts without adaptation, and adapts."""

    def adapt(
        self,
        env: gymnasium.Env[Any, Any],
        task: Mapping[str, Any] | None = None,
        *,
        episodes: int = 20,
        steps: int = 1,
        seed: int = 0,
        evaluation_episodes: int | None = None,
    ) -> AdaptedPolicy:
        """Adapts to one task in an environment, with fresh episodes at every inner step.

        Args:
            env: any environment with the run's observation and action sizes.
            task: set in the environment first, by `set_task`, `reset_task` or the option of `reset`
                (`metarl_envs.foreign.adapters` says which counts); None leaves the environment's own.
            episodes: episodes an inner step.
            steps: inner steps.
            seed: determines the episodes' noise and the environment's seeds.
            evaluation_episodes: further episodes, to measure the return after the last step; None for as
                many as `episodes`, 0 for none.

        Returns:
            The policy, whose `returns` are of the `episodes` before every step, and of the further ones.

        Raises:
            ValueError: no episode or step, or fewer than 0 to measure; a task or environment that does not
                fit; a task for an environment that takes none; or one that returns what is no outcome.
            NonFiniteError: a reward, an observation or the adapted parameters are not finite.
        """
        if episodes < 1 or steps < 1:
            raise ValueError(f"expected episodes and steps of at least 1, got {episodes} and {steps}")
        measured = episodes if evaluation_episodes is None else evaluation_episodes
        if measured < 0:
            raise ValueError(
                f"expected evaluation_episodes of at least 0, or None, got {evaluation_episodes}"
            )
        self._check_fits(env)
        config = self.experiment.config
        current, returns = self.parameters, []

        def play(count: int, step: int) -> Rollout:
            horizon, policy = config.environment.horizon, self.experiment.policy
            rollout = collect_episodes(
                env, policy, current, task=task, episodes=count, horizon=horizon, seed=(seed, step)
            )
            returns.append(rollout.returns.mean().item())
            return rollout

        for step in range(steps):
            rollout = play(episodes, step)
            batch, _ = compute_advantages(rollout, config.sampling.advantages)
            learner, task_map = self.experiment.learner, self.experiment.task_map
            current = select(adapt_tasks(learner, task_map, repeat(current, 1), batch, step), 0)
        if measured:
            play(measured, steps)
        kept = {name: current[name] for name in self.parameters}
        return AdaptedPolicy(self.experiment, kept, tuple(returns))
