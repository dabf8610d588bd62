"""An evaluation whose tasks several ranks shared out, whole again on every rank."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import torch
from metarl_envs.task_parameters import Array
from metarl_envs.tasks import Tasks, number_of_tasks
from torch.utils._pytree import tree_map

from metarl.adaptation.evaluation import AdaptationCurve, Evaluation
from metarl.compute.reduction import Reduction
from metarl.rollouts.rollout import Rollout


def evaluate_shares(
    evaluate: Callable[[Tasks, int], Evaluation], tasks: Tasks, reduction: Reduction
) -> Evaluation:
    """Evaluates every rank's share of the tasks, and brings the shares together; without strata.

    A rank without a task would have nothing to evaluate: fewer tasks than ranks are evaluated by all.

    Args:
        evaluate: some of the tasks, of which the first has the given number.

    Raises:
        TrainingError: on every rank, what the first one met that met any.
    """
    count = number_of_tasks(tasks)
    if reduction.size == 1 or count < reduction.size:
        return evaluate(tasks, 0)
    share = reduction.share(count)
    own = {name: values[share] for name, values in tasks.items()}
    part = reduction.together(lambda: evaluate(own, share.start))
    curve = part.curve
    whole = AdaptationCurve(
        tasks,
        _all_tasks(curve.returns, reduction),
        None if curve.episode_returns is None else _all_tasks(curve.episode_returns, reduction),
        trial_episodes=curve.trial_episodes,
    )
    parameters, carry = tree_map(reduction.gather, (part.adapted.parameters, part.adapted.carry))
    adapted = part.adapted._replace(parameters=parameters, carry=carry)
    return Evaluation(whole, adapted, tuple(_rollout_of_all(one, reduction) for one in part.rollouts))


def _all_tasks(values: Array, reduction: Reduction) -> Array:
    """[step, task, ...] of this rank's tasks -> of all."""
    gathered = reduction.gather(torch.from_numpy(np.ascontiguousarray(values.swapaxes(0, 1))))
    return np.ascontiguousarray(gathered.numpy().swapaxes(0, 1))


def _rollout_of_all(rollout: Rollout, reduction: Reduction) -> Rollout:
    parts = {one.name: getattr(rollout, one.name) for one in fields(rollout)}
    diverged = int(reduction.total(torch.tensor(parts.pop("diverged_episodes"))))
    found = {name: tree_map(reduction.gather, part) for name, part in parts.items() if part is not None}
    return replace(rollout, diverged_episodes=diverged, **found)
