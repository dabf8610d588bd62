"""Trained policies: those that adapt to a task, and those that are adapted to one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import NoneType
from typing import Any

import gymnasium
from metarl_envs.arguments import check_at_least, check_seed

from metarl.adaptation.walk import Walk
from metarl.compute.task_map import TaskMap
from metarl.errors import RunError, check_kinds
from metarl.experiment.build import Experiment
from metarl.math.parameters import Parameters, select
from metarl.policies.policy import AnyPolicy, TaskState, remembers
from metarl.rollouts.episodes import EpisodeSampler
from metarl.rollouts.rollout import Rollout
from metarl.runs.acting import ActingPolicy
from metarl.runs.description import PolicyDescription
from metarl.runs.policy_file import PolicyFile
from metarl.runs.rebuild import rebuild_learner
from metarl.runs.run_source import RunSource
from metarl.runs.saved import is_policy_file, save_apart

_OF_ADAPTATION = {
    "env": (gymnasium.Env,),
    "task": (Mapping, NoneType),
    "episodes": (int, NoneType),
    "steps": (int,),
    "seed": (int,),
    "evaluation_episodes": (int, NoneType),
}


class AdaptedPolicy(ActingPolicy):
    """A policy for one task."""

    @property
    def task(self) -> Mapping[str, Any] | None:
        """The task's parameters; None where it was the environment's own."""
        return self.description.task

    @property
    def returns(self) -> tuple[float, ...]:
        """Mean return before every inner step, and after the last one where that was measured.

        Of a policy with memory, of every episode of its trial in turn.
        """
        return self.description.returns

    def save(self, path: str | Path) -> None:
        """Writes the policy where `metarl.load` reads it.

        Args:
            path: of one file, if it ends in .safetensors; else of a folder.

        Raises:
            TypeError: no path.
            RunError: it cannot be written, or the folder holds a training run.

        Examples:
            >>> adapted.save("goal.safetensors")
            >>> metarl.load("goal.safetensors").predict(observation)
        """
        check_kinds({"path": (str, Path)}, locals())
        save_apart(Path(path), PolicyFile(self.parameters, None, self.description, self.carry))


class MetaPolicy(ActingPolicy):
    """The meta-parameters of a run: a policy that acts without adaptation, and adapts.

    Args:
        trust: whether the modules that the run names may be imported.
        source: the run's folder; None for a file alone.
    """

    def __init__(
        self,
        description: PolicyDescription,
        policy: AnyPolicy,
        parameters: Parameters,
        *,
        trust: bool = False,
        source: RunSource | None = None,
    ) -> None:
        super().__init__(description, policy, parameters)
        self._trust = trust
        self._source = source

    @property
    def experiment(self) -> Experiment:
        """The run's experiment, with its environment and tasks; built when it is first asked for.

        Raises:
            RunError: the policy is a file alone, or the run names a module and is not trusted.
            ConfigError: the environment cannot be had, or does not take its options.
        """
        return self._folder.experiment

    @property
    def _folder(self) -> RunSource:
        if self._source is None:
            raise RunError(
                "expected the policy of a run folder, whose config says how to evaluate it, got that of a "
                "file alone: load the folder of its run"
            )
        return self._source

    @property
    def trial_episodes(self) -> int:
        """Episodes of a task in training, after one another of a policy with memory.

        Raises:
            RunError: the policy is a file alone.
        """
        return int(self._folder.config.sampling.episodes)

    @property
    def episodes_to_play(self) -> int:
        """Episodes after which the next one is the last of training's trials: further ones it has never seen.

        Raises:
            RunError: the policy is a file alone.
        """
        if self._source is None:
            raise RunError(
                "episodes: expected a number, since a file alone does not say how many episodes its policy's "
                "training had in a row"
            )
        return max(1, self.trial_episodes - 1)

    def adapt(
        self,
        env: gymnasium.Env[Any, Any],
        task: Mapping[str, Any] | None = None,
        *,
        episodes: int | None = None,
        steps: int = 1,
        seed: int = 0,
        evaluation_episodes: int | None = None,
    ) -> AdaptedPolicy:
        """Adapts to one task in an environment, with fresh episodes at every inner step.

        A policy with memory plays the episodes of all steps in a row, and its carry is what it learned.

        Args:
            env: any environment with the observation and action sizes of training.
            task: set in the environment first, by `set_task`, `reset_task` or the option of `reset`
                (`metarl_envs.foreign.adapters` says which counts); None leaves the environment's own.
            episodes: episodes of every inner step; None for 20, of a policy with memory `episodes_to_play`.
            steps: inner steps.
            seed: determines the episodes' noise and the environment's seeds.
            evaluation_episodes: further episodes, to measure the return after the last step; None for as
                many as `episodes`, or the next one where a policy with memory is not told these; 0 for none.

        Returns:
            The policy, whose `returns` are of the `episodes` before every step, and of the further ones: a
            mean each, but every episode's return of a policy with memory.

        Raises:
            TypeError: an argument of another type.
            ValueError: no episode or step, or fewer than 0 to measure; a seed below 0; a task or environment
                that does not fit; a task for an environment that takes none; or one that returns what is no
                outcome.
            NonFiniteError: a reward, an observation or the adapted parameters are not finite.
            RunError: the meta-learner names a module, and the policy was loaded without trust.
        """
        check_kinds(_OF_ADAPTATION, locals())
        if episodes is not None:
            further = episodes
        else:
            episodes, further = (self.episodes_to_play, 1) if remembers(self.policy) else (20, 20)
        if episodes < 1 or steps < 1:
            raise ValueError(f"expected episodes and steps of at least 1, got {episodes} and {steps}")
        measured = further if evaluation_episodes is None else evaluation_episodes
        if measured < 0:
            raise ValueError(
                f"expected evaluation_episodes of at least 0, or None, got {evaluation_episodes}"
            )
        check_at_least(0, episodes=episodes, steps=steps, evaluation_episodes=measured)
        check_seed(seed)
        walk = self.walk(env, episodes)
        state, returns = walk.start(self.parameters, 1), []
        for visit, adapted in walk.walk(state, task, (seed,), steps):
            returns += self._measured(visit.rollout)
            state = adapted
        if measured:
            rollout = self.episodes(env, measured).collect(state, task, (seed, steps))
            returns += self._measured(rollout)
        found = state._replace(parameters=select(state.parameters, 0))
        return self.adapted_to(task, found, tuple(returns))

    def _measured(self, rollout: Rollout) -> list[float]:
        """The mean return of one task's episodes; every one's, where the policy remembers the ones before."""
        found = rollout.returns[0]
        return list(found.tolist()) if remembers(self.policy) else [found.mean().item()]

    def walk(self, env: gymnasium.Env[Any, Any], episodes: int) -> Walk:
        """The adaptation walk on so many episodes of one task in an environment.

        Raises:
            ValueError: an environment that does not fit.
            RunError: the meta-learner names a module, and the policy was loaded without trust.
        """
        self.check_fits(env)
        task_map = TaskMap.for_device(self.device)
        learner, advantages = rebuild_learner(self.description, self.parameters, task_map, self._trust)
        return Walk(self.episodes(env, episodes), learner, advantages, task_map)

    def episodes(self, env: gymnasium.Env[Any, Any], episodes: int) -> EpisodeSampler:
        """Samples so many episodes of one task in an environment, up to the run's horizon."""
        horizon = self.description.environment["horizon"]
        return EpisodeSampler(env, self.policy, episodes=episodes, horizon=horizon)

    def adapted_to(
        self, task: Mapping[str, Any] | None, state: TaskState, returns: tuple[float, ...] = ()
    ) -> AdaptedPolicy:
        """This policy in the state that was adapted to a task, its parameters without a task axis."""
        parameters = {name: state.parameters[name] for name in self.parameters}
        return AdaptedPolicy(self.description.adapted_to(task, returns), self.policy, parameters, state.carry)

    def save(self, path: str | Path) -> None:
        """Writes the policy where `metarl.load` reads it, as `AdaptedPolicy.save` does.

        Into a folder goes the run's config too, from which `experiment` is built.

        Raises:
            TypeError: no path.
            RunError: it cannot be written, or the folder holds a training run.
        """
        check_kinds({"path": (str, Path)}, locals())
        target = Path(path)
        file = PolicyFile(self.parameters, None, replace(self.description, kind="meta_policy"))
        whole = self._source is not None and not is_policy_file(target)
        save_apart(target, file, self._source.config if self._source and whole else None)
