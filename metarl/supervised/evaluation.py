"""What a learner makes of tasks that it has not seen: scores by inner steps."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from metarl.compute.task_map import TaskMap
from metarl.math.parameters import Parameters
from metarl.supervised.examples import Examples, Split, TaskSource, keyed_generator
from metarl.supervised.learners.learner import Learner

Array = NDArray[np.float64]
EVALUATION = 4
"""In random keys, [seed, purpose, split, chunk]: what is drawn for evaluations."""
_CHUNK = 25
"""Tasks that are drawn at once; which ones they are follows from it."""
_SPLIT_KEYS: dict[Split, int] = {"train": 0, "validation": 1, "test": 2}


@dataclass(frozen=True)
class Scores:
    """Scores of tasks after 0, 1, ..., K inner steps.

    Args:
        name: what a score is: "accuracy" or "error".
        of_tasks: [task, step + 1]; one column of a learner that takes no steps.
    """

    name: str
    of_tasks: Array

    @property
    def mean(self) -> Array:
        """[step + 1]."""
        return np.asarray(self.of_tasks.mean(0))

    @property
    def half_width(self) -> Array:
        """Half the mean's 95 % interval, 1.96 standard errors over tasks; [step + 1]."""
        return np.asarray(1.96 * self.of_tasks.std(0, ddof=1) / math.sqrt(len(self.of_tasks)))

    @property
    def told(self) -> Array:
        """The mean as people read it, accuracies in %; [step + 1]."""
        return self.mean * (100 if self.name == "accuracy" else 1)

    @property
    def columns(self) -> list[str]:
        """ "accuracy_after_0_steps", ...; "accuracy" alone where there are no steps."""
        count = self.of_tasks.shape[1]
        return [self.name] if count == 1 else [f"{self.name}_after_{k}_steps" for k in range(count)]


def evaluate(
    learner: Learner,
    parameters: Parameters,
    source: TaskSource,
    split: Split,
    *,
    tasks: int,
    steps: int,
    seed: int,
    task_map: TaskMap,
) -> Scores:
    """Scores of so many tasks of a split, the same for the same seed, whatever the learner."""
    device = next(iter(parameters.values())).device

    def of_task(support: Examples, query: Examples) -> torch.Tensor:
        outputs = learner.predict(parameters, support, query.x, steps)
        return torch.stack([source.objective.score(one, query.y) for one in outputs])

    found = []
    for chunk, first in enumerate(range(0, tasks, _CHUNK)):
        generator = keyed_generator(seed, EVALUATION, _SPLIT_KEYS[split], chunk)
        episodes = source.draw(split, _CHUNK, generator)
        number = min(_CHUNK, tasks - first)
        drawn = [Examples(*(value[:number].to(device) for value in part)) for part in episodes[:2]]
        with torch.no_grad():
            found.append(task_map(of_task, *drawn, tasks=number))
    return Scores(source.objective.name, torch.cat(found).double().cpu().numpy())
