"""Adaptation of a run's meta-policy to the one task that a command line names."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from metarl_envs.task_parameters import Array
from metarl_envs.tasks import stack_tasks

from metarl.adaptation.evaluation import measured_walk
from metarl.errors import ConfigError
from metarl.math.parameters import select
from metarl.policies.policy import remembers
from metarl.rollouts.random_keys import EVALUATION
from metarl.runs.meta_policy import AdaptedPolicy, MetaPolicy

EPISODES = 20
"""Of every inner step, where nothing else is asked for; and trials of a policy with memory."""


def adapt_to(
    meta_policy: MetaPolicy,
    task: dict[str, Any],
    arguments: argparse.Namespace,
    *,
    held_back: int | None = None,
    shown: Callable[[Array], object] = lambda returns: None,
) -> tuple[Array, AdaptedPolicy]:
    """The returns of the task's episodes, [step + 1, episode], and the policy after the last step.

    It adapts in environments of the run.

    Args:
        held_back: episodes to measure after every number of steps, to which no step adapts; None measures
            those that the next step adapts to. Of a policy with memory, further trials, whose next episodes
            are measured; None measures those of the only trial.
        shown: called after every number of steps with the returns of the measured episodes, [episode].

    Raises:
        TrainingError: something was not finite, or an environment failed.
    """
    returns: list[Array] = []
    further = held_back if held_back and remembers(meta_policy.policy) else 0

    def show(measured: Array) -> None:
        returns.append(measured[0])
        shown(measured[0, bool(further) :])

    found = meta_policy.experiment.evaluate(
        meta_policy.parameters,
        stack_tasks([task]),
        episodes=arguments.episodes,
        steps=arguments.steps,
        seed=arguments.seed,
        held_back=None if further else held_back,
        trials=1 + further,
        shown=show,
    )
    own, measured = _apart(np.stack(returns), further)
    return measured, meta_policy.adapted_to(task, found.first, tuple(own.mean(1).tolist()))


def adapt_in(
    env: gymnasium.Env[Any, Any],
    meta_policy: MetaPolicy,
    task: dict[str, Any] | None,
    arguments: argparse.Namespace,
    *,
    held_back: int | None = None,
    shown: Callable[[Array], object] = lambda returns: None,
) -> tuple[Array, AdaptedPolicy]:
    """As `adapt_to`, in an environment of the user's own; None leaves the environment's own task.

    Raises:
        ConfigError: a task or an environment that does not fit.
        NonFiniteError: a reward, an observation or the adapted parameters are not finite.
    """
    returns: list[Array] = []
    further = held_back if held_back and remembers(meta_policy.policy) else 0
    keys = [(arguments.seed,), *((arguments.seed, 0, EVALUATION, trial) for trial in range(further))]
    try:
        walk = meta_policy.walk(env, arguments.episodes)
        measuring = meta_policy.episodes(env, held_back) if held_back and not further else None
        state = walk.start(meta_policy.parameters, 1)
        walks = [
            measured_walk(walk, state, task, steps=arguments.steps, key=key, measuring=measuring)
            for key in keys
        ]
        for at_all in zip(*walks, strict=True):
            state = at_all[0][0]
            found = [rollout.returns[0].double().cpu().numpy() for _, rollout in at_all]
            returns.append(np.concatenate(found))
            shown(returns[-1][bool(further) :])
    except ValueError as error:
        raise ConfigError(f"--env: {error}") from error
    adapted = state._replace(parameters=select(state.parameters, 0))
    own, measured = _apart(np.stack(returns), further)
    return measured, meta_policy.adapted_to(task, adapted, tuple(own.mean(1).tolist()))


def _apart(returns: Array, further: int) -> tuple[Array, Array]:
    """Returns of the episodes that are the adapted policy's own, and of those that measure it.

    Args:
        returns: [step + 1, episode]; where there are further trials, the first one is its own.
    """
    return (returns[:, :1], returns[:, 1:]) if further else (returns, returns)


def with_rounds(meta_policy: MetaPolicy, arguments: argparse.Namespace) -> argparse.Namespace:
    """The arguments with their inner steps and the episodes of each.

    A policy with memory adapts to every episode that it plays: a step is an episode then. Where the arguments
    do not say how many, it is one less than in training, so that the next one is the last that training had;
    and `EPISODES` further trials measure it.

    Raises:
        ConfigError: what is only for a policy without memory.
        RunError: the run has no config that says how many there were in training.
    """
    given = dict(vars(arguments))
    if not remembers(meta_policy.policy):
        rounds = {"episodes": arguments.episodes or EPISODES, "steps": arguments.steps or 1}
        return argparse.Namespace(**{**given, **rounds})
    if arguments.steps is not None:
        raise ConfigError(
            f"--steps: expected --episodes alone of {type(meta_policy.policy).__name__}, "
            f"which remembers every episode, got {arguments.steps}"
        )
    steps = arguments.episodes or meta_policy.episodes_to_play
    trials = given.get("held_back") or EPISODES
    return argparse.Namespace(**{**given, "episodes": 1, "steps": steps, "held_back": trials})


def read_task(text: str, task_distribution: Any) -> dict[str, Any]:
    """The task of `--task`, which the distribution takes: JSON, or the name of a file with it.

    Raises:
        ConfigError: no JSON object, or no task of the environment.
    """
    task = read_object("--task", text, "'{\"velocity\": 1.5}'")
    try:
        valid: dict[str, Any] = task_distribution.validate(task)
    except ValueError as error:
        raise ConfigError(f"--task: {error}") from error
    return valid


def read_object(option: str, text: str, example: str) -> dict[str, Any]:
    """What an option gives as a JSON object, or as the name of a file with one.

    Raises:
        ConfigError: it is neither.
    """
    given = text
    try:
        if not text.lstrip().startswith("{"):
            if not Path(text).is_file():
                raise ValueError("no file, or a device that may never end")
            text = Path(text).read_text()
        found = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"{option}: expected JSON such as {example}, or the name of a file of it, got {given}"
        ) from error
    if not isinstance(found, dict):
        raise ConfigError(f"{option}: expected a JSON object, got {text}")
    return found
