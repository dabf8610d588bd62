"""Rows that are added to, and whose oldest leave: what learners that learn from old episodes remember."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

CHUNK_BYTES = 8 * 2**20
"""Of the rows that leave together and stand in one file, about."""


@dataclass(frozen=True)
class Replay:
    """The latest rows of some columns.

    A longer view shares the storage of the shorter one that it was made of, which does not see the new rows:
    a state that holds one stays what it was. Appending to the shorter one again writes over them.

    Args:
        columns: by name, [room, ...] each, on the CPU.
        length: rows.
        start: where they begin in the columns.
        dropped: rows before them, which have left.
    """

    columns: Mapping[str, Tensor]
    length: int = 0
    start: int = 0
    dropped: int = 0

    @property
    def row_bytes(self) -> int:
        """Of one row in all columns."""
        return sum(value.stride(0) * value.element_size() for value in self.columns.values())

    @property
    def chunk(self) -> int:
        """Rows that leave together and stand in one file."""
        return max(1, CHUNK_BYTES // self.row_bytes)

    @property
    def ever(self) -> int:
        """Rows that were ever added."""
        return self.dropped + self.length

    def column(self, name: str) -> Tensor:
        """All rows of a column, [row, ...]."""
        return self.columns[name][self.start : self.start + self.length]

    def pick(self, numbers: Tensor) -> dict[str, Tensor]:
        """The rows of given numbers [...], from 0 for the oldest; [..., x] of every column."""
        return {name: value[self.start + numbers] for name, value in self.columns.items()}

    def without_oldest(self, capacity: int) -> Replay:
        """The view of the latest rows, at least so many of them: older ones leave by whole chunks.

        Args:
            capacity: 0 for all rows.
        """
        beyond = max(0, self.length - capacity) if capacity else 0
        return self.without(beyond // self.chunk * self.chunk)

    def without(self, number: int) -> Replay:
        """The view without so many of the oldest rows."""
        return replace(
            self,
            length=self.length - number,
            start=self.start + number,
            dropped=self.dropped + number,
        )

    def after(self, dropped: int) -> Replay:
        """The view of no rows, before which so many have left."""
        return replace(self, length=0, dropped=dropped)

    @property
    def latest(self) -> Replay:
        """The rows that may stand in no file yet, among others."""
        return self

    def saved(self) -> Replay:
        """The view when files hold all rows."""
        return self

    def append(self, rows: Mapping[str, Tensor]) -> Replay:
        """The view that has further rows [row, ...] of every column, converted to its kind.

        Raises:
            ValueError: other columns, rows of another shape, or not the same number of them.
        """
        self.check(rows)
        number = len(next(iter(rows.values())))
        found = self._with_room(self.length + number)
        end = found.start + found.length
        for name, value in found.columns.items():
            value[end : end + number] = rows[name]
        return replace(found, length=found.length + number)

    def _with_room(self, length: int) -> Replay:
        """The view, copied into twice its room where so many rows have none."""
        if self.start + length <= min(map(len, self.columns.values())):
            return self
        columns = {}
        for name, values in self.columns.items():
            columns[name] = values.new_empty(max(length, 2 * self.length), *values.shape[1:])
            columns[name][: self.length] = self.column(name)
        return replace(self, columns=columns, start=0)

    def check(self, rows: Mapping[str, Tensor]) -> None:
        """Whether rows can be appended.

        Raises:
            ValueError: as `append`.
        """
        expected = {name: tuple(value.shape[1:]) for name, value in self.columns.items()}
        got = {name: tuple(value.shape[1:]) for name, value in rows.items()}
        if got != expected:
            raise ValueError(f"expected rows of {expected}, got {got}")
        if len(counts := {len(value) for value in rows.values()}) != 1:
            raise ValueError(f"expected as many rows in every column, got {sorted(counts)}")
