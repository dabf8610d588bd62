"""The only place where tasks are brought together: where there are several processes, by `Ranks`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from torch import Tensor

from metarl.errors import MetaRLError

Value = TypeVar("Value")


class Reduction:
    """What brings the tasks of all ranks together, where there is one: this process.

    Attributes:
        rank: this process's number, from 0.
        size: how many processes there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this rank writes and shows what all have in common."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """Which of `count` tasks are this rank's: neighbours, shares that differ by one at most."""
        each, more = divmod(count, self.size)
        start = self.rank * each + min(self.rank, more)
        return slice(start, start + each + (self.rank < more))

    def mean(self, values: Tensor) -> Tensor:
        """The mean over the tasks of all ranks; [task, ...] -> [...]."""
        return values.mean(0)

    def total(self, values: Tensor) -> Tensor:
        """The sum over all ranks of a tensor of the same shape everywhere."""
        return values

    def gather(self, values: Tensor) -> Tensor:
        """The values of all ranks' tasks in their order; [task, ...] -> [all tasks, ...]."""
        return values

    def own(self, values: Tensor) -> Tensor:
        """The values of this rank's tasks; [all tasks, ...] -> [task, ...]."""
        return values[self.share(len(values))]

    def exchange(self, value: Value) -> list[Value]:
        """What every rank gave, by rank."""
        return [value]

    def together(self, call: Callable[[], Value]) -> Value:
        """What the call returns here; where it fails on a rank, all raise that error, the first rank's first.

        Raises:
            MetaRLError: of the call; others are not caught.
        """
        found, fault = [], None
        try:
            found.append(call())
        except MetaRLError as error:
            fault, error.rank = error, self.rank
        for met in self.exchange(fault and (fault, fault.rank)):
            if met:
                met[0].rank = met[1]
                raise met[0]
        return found[0]

    def agree(self, value: Value) -> Value:
        """The first rank's value."""
        return self.exchange(value)[0]
