"""Learns every evaluation task from scratch, under the protocol that adaptation is measured by.

An inner step has E episodes of horizon H, so "after k steps" is the return when k E H environment steps
were allowed: the policy of the last update before them, on E fresh episodes. Learning then goes on to the
budget, with more evaluations.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from metarl_envs.tasks import Task, Tasks, unstack_tasks
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecEnv

from metarl.errors import TrainingError
from metarl.experiment.environments import (
    as_built,
    held_out_tasks,
    list_name,
    strata_of,
    task_distribution,
)
from metarl.experiment.experiments import ScratchExperiment
from metarl.from_scratch.model import make_model, make_vec_env, steps_between_updates
from metarl.from_scratch.results import (
    ScratchResult,
    TaskOutcome,
    gather,
    read_outcome,
    write_outcome,
)
from metarl.rollouts.random_keys import SCRATCH_LEARNING
from metarl.runs.files import results_file
from metarl.runs.folder import find_run, make_run_folder
from metarl.runs.results import find_means, new_evaluation, write_results


def run_from_scratch(
    config: ScratchExperiment, resume: bool, progress: Callable[[int], object] = lambda steps: None
) -> ScratchResult:
    """Runs a config on its evaluation tasks, in its run folder, which keeps each one's results and the curve.

    Raises:
        RunError: the folder holds another run, or cannot be written.
        ConfigError, TrainingError: as `learn_tasks`.
    """
    settings = config.training
    tasks = held_out_tasks(config, settings.evaluation_tasks, config.seed)
    find_run(config, resume)
    make_run_folder(config)
    result = learn_tasks(
        config,
        tasks,
        steps=settings.evaluation_steps,
        episodes=settings.evaluation_episodes,
        environment_steps_per_task=config.from_scratch.environment_steps // settings.evaluation_tasks,
        run_dir=Path(config.run_dir),
        progress=progress,
    )
    source = task_distribution(config)
    strata, name = strata_of(source, tasks), list_name(source, tasks)
    result = replace(result, curve=replace(result.curve, strata=strata))
    protocol = {
        "episodes": settings.evaluation_episodes,
        "seed": config.seed,
        "deterministic": config.from_scratch.deterministic,
        "environment_steps": result.total_environment_steps,
    }
    run_dir = Path(config.run_dir)
    known = find_means(run_dir, protocol, settings.evaluation_tasks, settings.evaluation_steps)
    if known != result.curve.mean.tolist():
        write_results(new_evaluation(run_dir), {name: result.curve}, protocol)
    return result


def planned_steps(config: ScratchExperiment) -> int:
    """Environment steps of `run_from_scratch`."""
    settings, horizon = config.training, config.environment.horizon
    share = config.from_scratch.environment_steps // settings.evaluation_tasks
    adaptation = settings.evaluation_steps * settings.evaluation_episodes * horizon
    return int(max(share, adaptation) * settings.evaluation_tasks)


def learn_tasks(
    config: ScratchExperiment,
    tasks: Tasks,
    *,
    steps: int,
    episodes: int,
    environment_steps_per_task: int,
    run_dir: Path,
    progress: Callable[[int], object] = lambda steps: None,
) -> ScratchResult:
    """Learns every task from scratch. Finished tasks are kept in the run folder and not repeated.

    Args:
        steps: inner steps K of the adaptation to compare with.
        episodes: episodes E an inner step, and of an evaluation.
        environment_steps_per_task: budget of a task; at least the K steps' K E H are always taken.
        progress: called with the environment steps just done.

    Raises:
        ConfigError: an environment without native batch, or settings that the algorithm refuses.
        RunError: a task's file is damaged.
        TrainingError: learning broke down.
    """
    torch.set_num_threads(1)  # small networks
    settings = config.from_scratch
    inner_step = episodes * int(config.environment.horizon)
    targets = evaluation_targets(
        inner_step, steps, environment_steps_per_task, int(settings.evaluation_interval)
    )
    outcomes = []
    for index, task in enumerate(unstack_tasks(tasks)):
        protocol = _protocol(config, task, episodes, targets)
        path = results_file(run_dir, index, protocol)
        outcome = read_outcome(path)
        if outcome is None:
            outcome = _learn(config, task, index, episodes, targets, progress)
            write_outcome(path, protocol, outcome)
        else:
            progress(targets[-1])
        outcomes.append(outcome)
    return gather(outcomes, tasks, [targets.index(k * inner_step) for k in range(steps + 1)])


def evaluation_targets(inner_step: int, steps: int, budget: int, interval: int) -> list[int]:
    """Environment steps of a task at which it is evaluated, in order."""
    end = max(budget, steps * inner_step)
    return sorted({*range(0, steps * inner_step + 1, inner_step), *range(interval, end, interval), end})


def _learn(
    config: ScratchExperiment,
    task: Task,
    index: int,
    episodes: int,
    targets: list[int],
    progress: Callable[[int], object],
) -> TaskOutcome:
    """Learns one task; randomness follows from the seed and the task's number."""
    settings = config.from_scratch
    sequence = np.random.SeedSequence([config.seed, 0, SCRATCH_LEARNING, index])
    learning_seed, *seeds = sequence.generate_state(1 + len(targets)).tolist()
    outcome, seconds, shown = TaskOutcome([], [], []), 0.0, 0
    with (
        closing(make_vec_env(config, int(settings.num_envs), task)) as envs,
        closing(make_vec_env(config, episodes, task)) as fresh,
    ):
        model = make_model(config, envs, learning_seed)
        rollout = steps_between_updates(model)
        for target, seed in zip(targets, seeds, strict=True):
            started, missing = time.perf_counter(), target // rollout * rollout - model.num_timesteps
            try:
                if missing:
                    model.learn(missing, reset_num_timesteps=False)
                seconds += time.perf_counter() - started
                mean = _mean_return(model, fresh, episodes, seed, settings.deterministic)
            except ValueError as error:  # of a distribution whose parameters are not finite
                raise TrainingError(_fault(config, task, target, error)) from error
            outcome.environment_steps.append(model.num_timesteps)
            outcome.seconds.append(seconds)
            outcome.returns.append(mean)
            progress(target - shown)
            shown = target
    return outcome


def _mean_return(model: BaseAlgorithm, envs: VecEnv, episodes: int, seed: int, deterministic: bool) -> float:
    """Of one episode an environment, without a trace in the randomness of learning."""
    envs.seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return float(np.mean(evaluate_policy(model, envs, episodes, deterministic=deterministic)[0]))


def _protocol(config: ScratchExperiment, task: Task, episodes: int, targets: list[int]) -> dict[str, Any]:
    """All that a task's results follow from, in the words of version 0.1.0, whose results are thus found."""
    sections = as_built(config)
    learner = {
        key: value
        for key, value in sections["from_scratch"].items()
        if key not in ("environment_steps", "evaluation_interval")
    }
    return {
        "seed": config.seed,
        "environment": sections["environment"],
        "policy": {**sections["policy"], "min_std": 1e-6, "output_gain": 1.0, "start_from": ""},
        "meta_learner": {"name": "scratch", **learner},
        "task": _plain(task),
        "episodes": episodes,
        "evaluated_after": targets,
    }


def _plain(task: Task) -> dict[str, Any]:
    return {name: np.asarray(value).tolist() for name, value in task.items()}


def _fault(config: ScratchExperiment, task: Task, target: int, error: ValueError) -> str:
    return (
        f"{config.environment.id}, task {json.dumps(_plain(task))}, before {target} environment steps: "
        f"expected finite numbers, got {str(error).splitlines()[0]}; finished tasks are kept; try a smaller "
        "from_scratch.settings.learning_rate"
    )
