"""One step of Adam down a loss that is a mean over tasks, wherever they are."""

from __future__ import annotations

import torch
from torch import Tensor

from metarl.compute.task_map import TaskMap
from metarl.math.parameters import Parameters
from metarl.meta_learners.outer.clipped import AdamState, adam_state

UNREAD = ("sampling.advantages", "training.tasks_at_once", "training.threads")
"""Keys that nothing reads with learners that descend so: they estimate advantages themselves, and see whole
trials of many tasks at once."""


def descend(
    adam: torch.optim.Adam,
    leaves: Parameters,
    loss: Tensor,
    weight: Tensor,
    task_map: TaskMap,
    longest: float = 0.0,
) -> float:
    """One step down the mean of all ranks' losses; the gradient's length before it is cut.

    Args:
        loss: the mean over this rank's share.
        weight: of the share, [].
        longest: longer gradients are cut to it; 0 for no bound.
    """
    found = torch.autograd.grad(loss, [*leaves.values()])
    for leaf, gradient in zip(leaves.values(), task_map.weighted_mean(found, weight), strict=True):
        leaf.grad = gradient
    norm = torch.nn.utils.clip_grad_norm_([*leaves.values()], longest or float("inf"))
    adam.step()
    return norm.item()


def detached(adam: torch.optim.Adam, leaves: Parameters) -> AdamState:
    """Adam's state after its steps."""
    found = adam_state(adam, leaves)
    return AdamState(*({name: value.detach() for name, value in part.items()} for part in found))
