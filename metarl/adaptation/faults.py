"""Faults in the numbers, named for a person."""

from __future__ import annotations

import json

from metarl_envs.tasks import Tasks

from metarl.errors import NonFiniteError, TrainingError


def name_fault(error: NonFiniteError, environment_name: str, tasks: Tasks, where: str) -> TrainingError:
    """The fault with its environment, task and iteration, for a person."""
    task = {name: values[error.task_index].tolist() for name, values in tasks.items()}
    fault = (
        f"{environment_name}, task {json.dumps(task)}, {where}: expected finite numbers, got {error.what}; "
        "every iteration before it is kept"
    )
    advice = (
        "; try smaller steps: inner ones (meta_learner.inner_step_size) where the meta-learner takes them, "
        "or if it went well at first outer ones"
    )
    return TrainingError(fault + advice * error.of_learner)
