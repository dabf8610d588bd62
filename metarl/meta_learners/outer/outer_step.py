"""The outer step as a value: how meta-parameters move up a gain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from torch import Tensor

from metarl.math.parameters import Parameters
from metarl.meta_learners.inner.meta_gradient import MetaGradient

CurvatureProduct = Callable[[Tensor], Tensor]
"""v [D] -> (Hessian of the mean KL) v [D]."""
State = TypeVar("State")


class SurrogateAndKl(NamedTuple):
    """Surrogate gain and mean KL divergence at a candidate."""

    surrogate: float
    kl: float


class OuterProblem(NamedTuple):
    """What an outer step may ask at any meta-parameters.

    Args:
        gradient: of the gain it climbs.
        evaluate: the gain by which steps are judged, and the KL.
        curvature: of the mean KL, of so many tasks or of all (None); None where the outer step asks for
            none.
    """

    gradient: Callable[[Parameters], MetaGradient]
    evaluate: Callable[[Parameters], SurrogateAndKl]
    curvature: Callable[[Parameters, int | None], CurvatureProduct] | None = None


class OuterResult(NamedTuple):
    """The new parameters and state (the old ones themselves if rejected), diagnostics, why rejected."""

    parameters: Parameters
    state: Any
    metrics: dict[str, float]
    rejection: str | None


@dataclass(frozen=True)
class OuterStep(Generic[State]):
    """Two pure functions and the state that goes from one update to the next.

    Args:
        init: meta-parameters -> the state before the first update: a NamedTuple of tensors and parameter
            dicts.
        update: (meta-parameters, state, problem) -> the result.
    """

    init: Callable[[Parameters], State]
    update: Callable[[Parameters, State, OuterProblem], OuterResult]
