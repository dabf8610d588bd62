"""From a config to objects."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace

import gymnasium
import numpy as np
import torch
from metarl_envs.foreign.foreign_vector_env import ForeignEnvError, ForeignVectorEnv
from metarl_envs.task_parameters import Array
from metarl_envs.tasks import Tasks, number_of_tasks
from metarl_envs.vector_env import VectorTaskEnv

from metarl.adaptation.evaluation import Evaluation, evaluate_adaptation
from metarl.adaptation.faults import name_fault
from metarl.adaptation.walk import Sampler, Walk
from metarl.compute.devices import resolve_device
from metarl.compute.reduction import Reduction
from metarl.compute.task_map import TaskMap
from metarl.errors import ConfigError, NonFiniteError, TrainingError
from metarl.experiment.environments import (
    TaskDistribution,
    distribution_of,
    make_envs,
    sample_held_out,
    strata_of,
)
from metarl.experiment.experiments import AnyExperiment, ExperimentConfig, meta_learned
from metarl.experiment.training_tasks import draw_training_tasks
from metarl.math.parameters import Parameters
from metarl.meta_learners.learner import MetaLearner
from metarl.meta_learners.registry import find_meta_learner
from metarl.policies.normalised import normalising_policy
from metarl.policies.policy import AnyPolicy, remembers
from metarl.policies.registry import find_policy
from metarl.rollouts.random_keys import EVALUATION
from metarl.rollouts.sampler import RolloutSampler, lanes_of

TRIALS = 4
"""Of every task in an evaluation of a policy with memory, each of whose trials is a single noisy sequence."""


@dataclass(frozen=True)
class Experiment:
    """A config's policy and learner, ready to sample.

    Args:
        policy: what acts: the learner's, which may be made of the given one.
        given_policy: what the learner was given.
    """

    config: ExperimentConfig
    policy: AnyPolicy
    given_policy: AnyPolicy
    learner: MetaLearner
    task_map: TaskMap
    task_distribution: TaskDistribution
    action_space: gymnasium.spaces.Box
    device: torch.device

    def sampler(self, tasks: int, episodes: int, trials: int = 1, first_task: int = 0) -> RolloutSampler:
        """A sampler of so many episodes of so many tasks, with environments of its own.

        Args:
            trials: of every task, of a policy with memory.
            first_task: the first task's number among those of all ranks.
        """
        envs = make_envs(self.config, tasks * lanes_of(self.policy, episodes, trials))
        return RolloutSampler(
            envs,
            self.policy,
            episodes_per_task=episodes,
            horizon=self.config.environment.horizon,
            device=self.device,
            first_task=first_task,
            trials=trials,
        )

    def walk(self, sampler: Sampler) -> Walk:
        """The adaptation walk on a sampler's episodes."""
        return Walk(sampler, self.learner, self.config.sampling.advantages, self.task_map)

    def held_out_tasks(self, n: int, seed: int) -> Tasks:
        """Fresh tasks from a stream that training does not read; a benchmark's own test tasks.

        Where an environment has finitely many tasks, they come in turn, whether trained on or not.
        """
        return sample_held_out(self.task_distribution, n, seed)

    def training_tasks(self, n: int) -> Tasks:
        """The first n tasks that training draws."""
        each, listed = int(self.config.sampling.tasks), int(self.config.sampling.training_tasks)
        drawn = [
            draw_training_tasks(self.task_distribution, each, self.config.seed, iteration, listed).tasks
            for iteration in range(-(-n // each))
        ]
        return {name: np.concatenate([tasks[name] for tasks in drawn])[:n] for name in drawn[0]}

    def evaluate(
        self,
        parameters: Parameters,
        tasks: Tasks,
        *,
        episodes: int,
        steps: int,
        seed: int,
        deterministic: bool = False,
        keep_rollouts: bool = False,
        held_back: int | None = None,
        trials: int = TRIALS,
        first_task: int = 0,
        progress: Callable[[], object] = lambda: None,
        shown: Callable[[Array], object] = lambda returns: None,
        where: str = "evaluation",
    ) -> Evaluation:
        """The adaptation curve on given tasks, and the adapted states.

        Args:
            keep_rollouts: also the rollouts that were measured.
            held_back: episodes of every task to measure at every number of steps, to which no step adapts;
                None measures those that the next step adapts to.
            trials: of every task, of a policy with memory: what is measured is their mean.
            first_task: the first one's number, which chooses its noise, where the tasks are a part of a list.
            progress, shown: as of `evaluate_adaptation`.
            where: names the evaluation in errors.

        Raises:
            TrainingError: something was not finite, or an environment failed.
        """
        name, count = self.config.environment.id, number_of_tasks(tasks)
        with ExitStack() as opened:
            sampler = opened.enter_context(closing(self.sampler(count, episodes, trials, first_task)))
            apart = held_back and opened.enter_context(
                closing(self.sampler(count, held_back, trials, first_task))
            )
            try:
                found = evaluate_adaptation(
                    self.walk(sampler),
                    parameters,
                    tasks,
                    steps=steps,
                    key=(seed, 0, EVALUATION),
                    deterministic=deterministic,
                    keep_rollouts=keep_rollouts,
                    measuring=apart or None,
                    progress=progress,
                    shown=shown,
                )
                strata = strata_of(self.task_distribution, tasks)
                trial_episodes = episodes if remembers(self.policy) else None
                curve = replace(found.curve, strata=strata, trial_episodes=trial_episodes)
                return replace(found, curve=curve)
            except NonFiniteError as error:
                raise name_fault(error, name, tasks, where) from error
            except ForeignEnvError as error:
                raise TrainingError(f"{name}, {where}: {error}") from error


def build_experiment(config: AnyExperiment, reduction: Reduction | None = None) -> Experiment:
    """Builds everything but environments.

    Args:
        reduction: brings the tasks of several ranks together; None where this process is the only one.

    Raises:
        ConfigError: the environment or the device cannot be had, or there is no meta-learner.
    """
    config = meta_learned(config)
    device = resolve_device(config.training.device)
    with closing(make_envs(config, 1)) as one:
        return _experiment(config, device, one, reduction)


def check_action_bound(policy: AnyPolicy, actions: gymnasium.spaces.Box) -> None:
    """Refuses a bound of actions other than that of the environment's box.

    Raises:
        ConfigError: it is another one, or the box has several.
    """
    bound = getattr(policy, "action_bound", None)
    if bound is None or (np.allclose(-actions.low, bound) and np.allclose(actions.high, bound)):
        return
    largest = float(actions.high.max())
    same = np.allclose(-actions.low, largest) and np.allclose(actions.high, largest)
    of_box = f"{largest:g}, that of the environment's box"
    expected = of_box if same else "a box that is the same in all actions"
    raise ConfigError(f"policy.action_bound: expected {expected}, got {bound:g} and {actions}")


def _experiment(
    config: ExperimentConfig,
    device: torch.device,
    one: VectorTaskEnv | ForeignVectorEnv,
    reduction: Reduction | None,
) -> Experiment:
    observations, actions = one.single_observation_space, one.single_action_space
    if not (isinstance(observations, gymnasium.spaces.Box) and isinstance(actions, gymnasium.spaces.Box)):
        raise ConfigError(
            "environment.id: expected continuous (Box) observation and action spaces, got "
            f"{observations} and {actions}"
        )
    sizes = {
        "observation_size": int(np.prod(observations.shape or ())),
        "action_size": int(np.prod(actions.shape or ())),
    }
    try:
        policy: AnyPolicy = find_policy(config.policy.name)(**sizes, **config.policy.settings)
        if config.policy.normalise_observations:
            policy = normalising_policy(policy)
    except ValueError as error:
        raise ConfigError(f"policy.{error}") from error
    check_action_bound(policy, actions)
    task_map = TaskMap.for_device(device, config.training.threads, config.training.tasks_at_once, reduction)
    learner = find_meta_learner(config.meta_learner_name).of(policy, config.meta_learner, task_map)
    ranks = task_map.reduction.size
    if config.sampling.tasks < ranks:
        raise ConfigError(
            f"sampling.tasks: expected one or more for each of {ranks} ranks, got {config.sampling.tasks}"
        )
    tasks = distribution_of(config, one)
    return Experiment(config, learner.policy, policy, learner, task_map, tasks, actions, device)
