"""Backtracking along a direction until a criterion accepts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Measured = TypeVar("Measured")


@dataclass(frozen=True)
class LineSearchResult(Generic[Measured]):
    """The accepted fraction of the step (0 if none), what was measured last, the tries that failed, and why.

    `rejections` counts failed tries by reason.
    """

    fraction: float
    evaluation: Measured
    backtracks: int
    rejections: dict[str, int]


def backtracking_line_search(
    evaluate: Callable[[float], Measured],
    rejection: Callable[[Measured], str | None],
    backtrack_ratio: float,
    max_tries: int,
) -> LineSearchResult[Measured]:
    """Tries fractions 1, ratio, ratio^2, ... and accepts the first without a reason to reject it.

    Args:
        evaluate: fraction of the full step -> what to judge.
        rejection: why an evaluation is not acceptable, None if it is.
    """
    rejections: dict[str, int] = {}
    fraction = 1.0
    for tried in range(max_tries):
        evaluation = evaluate(fraction)
        reason = rejection(evaluation)
        if reason is None:
            return LineSearchResult(fraction, evaluation, tried, rejections)
        rejections[reason] = rejections.get(reason, 0) + 1
        fraction *= backtrack_ratio
    return LineSearchResult(0.0, evaluation, max_tries, rejections)
