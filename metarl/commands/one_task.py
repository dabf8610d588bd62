"""Adaptation of a run's meta-policy to the one task that a command line names."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from metarl_envs.tasks import stack_tasks

from metarl.adaptation.evaluation import AdaptationCurve
from metarl.errors import ConfigError
from metarl.math.parameters import select
from metarl.runs.meta_policy import AdaptedPolicy, MetaPolicy
from metarl.training.progress_bar import Progress


def adapt_to(
    meta_policy: MetaPolicy, task: dict[str, Any], arguments: argparse.Namespace
) -> tuple[AdaptationCurve, AdaptedPolicy]:
    """The curve of the task and the policy after its last step, in environments of the run; a bar shows it.

    Raises:
        TrainingError: something was not finite, or an environment failed.
    """
    with Progress(arguments.steps + 1, "rollout", quiet=arguments.quiet) as bar:
        found = meta_policy.experiment.evaluate(
            meta_policy.parameters,
            stack_tasks([task]),
            episodes=arguments.episodes,
            steps=arguments.steps,
            seed=arguments.seed,
            progress=bar.advance,
        )
    parameters, returns = select(found.adapted.parameters, 0), tuple(found.curve.mean.tolist())
    return found.curve, meta_policy.adapted_to(task, parameters, returns)


def read_task(text: str, task_distribution: Any) -> dict[str, Any]:
    """The task of `--task`: JSON, or the name of a file with it.

    Raises:
        ConfigError: no JSON object, or no task of the environment.
    """
    given = text
    try:
        if not text.lstrip().startswith("{"):
            text = Path(text).read_text()
        task = json.loads(text)
    except (OSError, ValueError) as error:
        expected = "JSON such as '{\"velocity\": 1.5}', or a file of it"
        raise ConfigError(f"--task: expected {expected}, got {given}") from error
    if not isinstance(task, dict):
        raise ConfigError(f"--task: expected a JSON object, got {text}")
    try:
        valid: dict[str, Any] = task_distribution.validate(task)
    except ValueError as error:
        raise ConfigError(f"--task: {error}") from error
    return valid
