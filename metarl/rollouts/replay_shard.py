"""Rows to replay that ranks share out: each keeps those of its own groups, and one hands all to files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from metarl.rollouts.replay import Replay

NUMBER = "number"
"""Column of a row's number among all that were ever added."""


@dataclass(frozen=True)
class ReplayShard:
    """A rank's part of rows that all ranks add to together, and whose oldest leave everywhere at once.

    Which rows there are, in what order, and when they leave do not depend on the number of ranks. A longer
    view shares the storage of the shorter one, as `Replay` says.

    Args:
        group: the column by which rows are shared out: those of a number are all on one rank.
        rank, ranks: this rank's number from 0, and how many there are.
        own: the rows of this rank's groups, with their `NUMBER`.
        latest: the rows of all groups that may stand in no file yet, on the first rank, which writes files;
            on others none, so that the rows before them are all.
        dropped: rows of all ranks that have left.
    """

    group: str
    rank: int
    ranks: int
    own: Replay
    latest: Replay
    dropped: int = 0

    @classmethod
    def of(cls, empty: Replay, group: str, rank: int, ranks: int) -> ReplayShard:
        """A shard of no rows yet, of the columns of an empty replay."""
        own = Replay({**empty.columns, NUMBER: torch.empty(0, dtype=torch.int64)})
        return cls(group, rank, ranks, own, empty)

    @property
    def chunk(self) -> int:
        """Rows of all ranks that leave together and stand in one file."""
        return self.latest.chunk

    @property
    def ever(self) -> int:
        """Rows that all ranks ever added."""
        return self.latest.ever

    @property
    def length(self) -> int:
        """Rows that all ranks have."""
        return self.ever - self.dropped

    def append(self, rows: Mapping[str, Tensor]) -> ReplayShard:
        """The view that has further rows, of all ranks [row, ...] and the same on each.

        Raises:
            ValueError: as `Replay.append`.
        """
        self.latest.check(rows)
        on_cpu = {name: value.cpu() for name, value in rows.items()}
        numbers = torch.arange(self.ever, self.ever + len(on_cpu[self.group]))
        mine = on_cpu[self.group] % self.ranks == self.rank
        own = self.own.append({name: value[mine] for name, value in {**on_cpu, NUMBER: numbers}.items()})
        if self.rank:
            latest = replace(self.latest, dropped=self.ever + len(numbers))
        else:
            latest = self.latest.append(on_cpu)
        return replace(self, own=own, latest=latest)

    def without_oldest(self, capacity: int) -> ReplayShard:
        """The view of the latest rows of all ranks, as `Replay.without_oldest`."""
        beyond = max(0, self.length - capacity) if capacity else 0
        dropped = self.dropped + beyond // self.chunk * self.chunk
        left = int(torch.searchsorted(self.own.column(NUMBER), dropped))
        unwritten = min(self.latest.length, max(0, dropped - self.latest.dropped))
        return replace(
            self, own=self.own.without(left), latest=self.latest.without(unwritten), dropped=dropped
        )

    def saved(self) -> ReplayShard:
        """The view when files hold all rows: other ranks' rows in full files need not be held any more."""
        return replace(self, latest=self.latest.without(self.latest.length // self.chunk * self.chunk))

    def after(self, dropped: int) -> ReplayShard:
        """The view of no rows, before which so many have left."""
        return replace(self, latest=replace(self.latest, dropped=dropped), dropped=dropped)


AnyReplay: TypeAlias = Replay | ReplayShard
"""What a learner's state holds: all rows on every rank, or a shard of them."""
