"""What a function finds for a few tasks at a time, joined to what it finds for all."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any

import torch
from torch.utils._pytree import tree_flatten, tree_map

TASKS_AT_ONCE = 40
"""Of functions that take any number of tasks: what they need in between stays bounded."""


class Pieces:
    """Pytrees of tensors [some tasks, ...], written to where they belong as they come, on any thread.

    Kept until all are there, small ones would lie between the large tensors of those that follow, whose
    memory could then not be used again: it would grow with the tasks.

    Args:
        tasks: of all pieces.
    """

    def __init__(self, tasks: int) -> None:
        self._tasks, self._lock = tasks, Lock()
        self._whole: Any = None
        self._followed: dict[int, Any] = {}

    def put(self, start: int, piece: Any) -> None:
        """Adds the piece whose first task has that number."""
        if any(leaf.requires_grad for leaf in tree_flatten(piece)[0]):
            self._followed[start] = piece  # by autograd, which a copy into the whole would lose
            return
        with self._lock:
            if self._whole is None:
                self._whole = tree_map(lambda part: part.new_empty(self._tasks, *part.shape[1:]), piece)
        tree_map(lambda whole, part: whole[start : start + len(part)].copy_(part), self._whole, piece)

    def joined(self) -> Any:
        """All of them, in the tasks' order."""
        if not self._followed:
            return self._whole
        pieces = [self._followed[start] for start in sorted(self._followed)]
        return tree_map(lambda *parts: torch.cat(parts), *pieces)


def in_pieces(function: Callable[..., Any], *arguments: Any) -> Any:
    """function(*arguments) of pytrees of tensors [task, ...], found for a few tasks at a time.

    Args:
        function: treats every task apart; returns a pytree of tensors [task, ...].
    """
    tasks = len(tree_flatten(arguments)[0][0])
    if tasks <= TASKS_AT_ONCE:
        return function(*arguments)
    results = Pieces(tasks)
    for start in range(0, tasks, TASKS_AT_ONCE):
        part = slice(start, start + TASKS_AT_ONCE)
        results.put(start, function(*tree_map(lambda tensor, part=part: tensor[part], arguments)))
    return results.joined()
