"""The tasks that training draws: fresh ones every iteration, or some of a list that was drawn once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from metarl_envs.tasks import Tasks
from numpy.typing import NDArray

from metarl.experiment.environments import TaskDistribution
from metarl.rollouts.random_keys import TASK_LIST, TASKS


class DrawnTasks(NamedTuple):
    """An iteration's tasks, [task, ...], and their places in the list, [task]; None of fresh ones."""

    tasks: Tasks
    slots: NDArray[np.int64] | None


def draw_training_tasks(
    source: TaskDistribution, number: int, seed: int, iteration: int, of: int = 0
) -> DrawnTasks:
    """An iteration's tasks; they follow from the seed and the iteration.

    Args:
        number: of tasks.
        of: tasks in the list, of which different ones are chosen; 0 for fresh tasks.
    """
    rng = np.random.default_rng([seed, iteration, TASKS])
    if not of:
        return DrawnTasks(source.sample(number, rng), None)
    listed = source.sample(of, np.random.default_rng([seed, 0, TASK_LIST]))
    slots = rng.permutation(of)[:number]
    return DrawnTasks({name: values[slots] for name, values in listed.items()}, slots)
