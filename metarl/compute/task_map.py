"""A function of one task, mapped over all and averaged: a few tasks at a time, on a few threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from metarl.compute.pieces import Pieces
from metarl.compute.reduction import Reduction

Result = TypeVar("Result")


@dataclass(frozen=True)
class TaskMap:
    """Maps over the leading task axis with torch.vmap, in chunks; results do not depend on the threads.

    Threads work on whole chunks, each with serial torch operations: on a busy machine, threads inside
    every small operation would wait for one another thousands of times an update.

    Args:
        chunk_size: tasks at once; few stay in a CPU's cache, None for all.
        threads: chunks at once; 0 for one per CPU.
        reduction: of the tasks' results.
    """

    chunk_size: int | None = 4
    threads: int = 0
    reduction: Reduction = Reduction()  # noqa: RUF009 (without state)
    _pool: ThreadPoolExecutor = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # A new thread does not inherit the number of threads inside an operation.
        pool = ThreadPoolExecutor(
            self.threads or available_cpus(), initializer=torch.set_num_threads, initargs=(1,)
        )
        object.__setattr__(self, "_pool", pool)

    @classmethod
    def for_device(
        cls, device: torch.device, threads: int = 0, chunk_size: int = 0, reduction: Reduction | None = None
    ) -> TaskMap:
        """Few tasks at once on a CPU; on a GPU all of them in one; or as many as `chunk_size` says."""
        together = reduction or cls.reduction
        if device.type == "cpu":
            return cls(chunk_size or 4, threads, together)
        return cls(chunk_size or None, 1, together)

    def __call__(
        self, function: Callable[..., Any], *arguments: Any, shared: Sequence[Any] = (), tasks: int
    ) -> Any:
        """function(*shared, *one task's arguments) for every task; results gain a leading task axis.

        Args:
            shared: arguments without a task axis.
            arguments: pytrees of tensors [task, ...].
            tasks: length of the task axis.
        """
        axes = (*[None] * len(shared), *[0] * len(arguments))
        mapped = torch.vmap(function, in_dims=axes)
        return self.by_chunks(partial(mapped, *shared), *arguments, tasks=tasks)

    def by_chunks(self, function: Callable[..., Any], *arguments: Any, tasks: int) -> Any:
        """function(*a chunk of tasks' arguments) of all chunks, whose results [task, ...] are joined.

        Args:
            arguments: pytrees of tensors [task, ...].
            tasks: length of the task axis.
        """
        size = self.chunk_size or tasks
        if size >= tasks:
            return function(*arguments)

        results = Pieces(tasks)

        def chunk(start: int) -> None:
            piece = tree_map(lambda tensor: tensor[start : start + size], arguments)
            results.put(start, function(*piece))

        self.run([partial(chunk, start) for start in range(0, tasks, size)])
        return results.joined()

    def mean(self, values: Any) -> Any:
        """The mean over all tasks of a pytree of tensors [task, ...]; [...] each."""
        return tree_map(self.reduction.mean, values)

    def weighted_mean(self, values: Any, weight: Tensor) -> Any:
        """The mean over all ranks of what each found for its own tasks, in proportion to its weight.

        Args:
            values: a pytree of tensors [...], means over this rank's own share.
            weight: of the share, []: its steps or tasks. Where it is 0, the values are not read.
        """
        share = weight.double()
        sums = tree_map(lambda value: torch.where(share > 0, value.double() * share, 0.0), values)
        whole, total = self.mean(tree_map(lambda value: value.unsqueeze(0), (sums, share)))
        return tree_map(lambda value, like: (value / total).to(like.dtype), whole, values)

    def masked_mean(self, values: Tensor, valid: Tensor) -> Tensor:
        """The mean over all valid entries of all ranks' tasks; a scalar."""
        own = torch.where(valid, values, 0.0).sum() / valid.sum()
        mean: Tensor = self.weighted_mean(own, valid.sum())
        return mean

    def all_tasks(self, values: Any) -> Any:
        """A pytree of this rank's tasks [task, ...] as that of all ranks' tasks, in their order."""
        return tree_map(self.reduction.gather, values)

    def own_tasks(self, values: Any) -> Any:
        """This rank's part of a pytree of all ranks' tasks [all tasks, ...]; [task, ...]."""
        return tree_map(self.reduction.own, values)

    def run(self, calls: Sequence[Callable[[], Result]]) -> list[Result]:
        """Makes the calls on the threads, in the caller's grad mode; results in order."""
        grad_enabled = torch.is_grad_enabled()

        def make(call: Callable[[], Result]) -> Result:
            with torch.set_grad_enabled(grad_enabled):
                return call()

        return list(self._pool.map(make, calls))


def select_task(values: Any, task: int) -> Any:
    """One task's part of a pytree of tensors: [task, ...] -> [...]."""
    return tree_map(lambda tensor: tensor[task], values)


def available_cpus() -> int:
    """CPUs that this process may use; where the system does not tell, those it has."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
