"""Rows that are only ever added to: what learners that learn from old episodes remember."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Replay:
    """The first `length` rows of some columns.

    A longer view shares the storage of the shorter one that it was made of, which does not see the new rows:
    a state that holds one stays what it was. Appending to the shorter one again writes over them.

    Args:
        columns: by name, [capacity, ...] each, on the CPU.
        length: rows.
    """

    columns: Mapping[str, Tensor]
    length: int = 0

    @property
    def row_bytes(self) -> int:
        """Of one row in all columns."""
        return sum(value.stride(0) * value.element_size() for value in self.columns.values())

    def column(self, name: str) -> Tensor:
        """All rows of a column, [row, ...]."""
        return self.columns[name][: self.length]

    def pick(self, numbers: Tensor) -> dict[str, Tensor]:
        """The rows of given numbers [...], [..., x] of every column."""
        return {name: value[numbers] for name, value in self.columns.items()}

    def append(self, rows: Mapping[str, Tensor]) -> Replay:
        """The view that has further rows [row, ...] of every column, converted to its kind.

        Raises:
            ValueError: other columns, rows of another shape, or not the same number of them.
        """
        self._check(rows)
        length = self.length + len(next(iter(rows.values())))
        columns = {name: self._with_room(value, length) for name, value in self.columns.items()}
        for name, value in columns.items():
            value[self.length : length] = rows[name]
        return Replay(columns, length)

    def _with_room(self, values: Tensor, length: int) -> Tensor:
        """The column, copied into twice the room where so many rows have none."""
        if length <= len(values):
            return values
        grown = values.new_empty(max(length, 2 * len(values)), *values.shape[1:])
        grown[: self.length] = values[: self.length]
        return grown

    def _check(self, rows: Mapping[str, Tensor]) -> None:
        expected = {name: tuple(value.shape[1:]) for name, value in self.columns.items()}
        got = {name: tuple(value.shape[1:]) for name, value in rows.items()}
        if got != expected:
            raise ValueError(f"expected rows of {expected}, got {got}")
        if len(counts := {len(value) for value in rows.values()}) != 1:
            raise ValueError(f"expected as many rows in every column, got {sorted(counts)}")
