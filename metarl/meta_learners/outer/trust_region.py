"""The trust-region step (Schulman et al. 2015, appendix C), for any surrogate."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jsonargparse.typing import NonNegativeFloat, OpenUnitInterval, PositiveFloat, PositiveInt
from torch import Tensor

from metarl.math.conjugate_gradient import conjugate_gradient
from metarl.math.line_search import backtracking_line_search
from metarl.math.parameters import Parameters, flatten, unflatten
from metarl.meta_learners.outer.outer_step import OuterProblem, OuterResult, OuterStep, SurrogateAndKl


@dataclass(frozen=True)
class TrustRegionConfig:
    """The trust region and how its step is found.

    Args:
        max_kl: delta, the bound on the mean KL divergence.
        cg_iterations: iterations of the conjugate gradient, at most.
        cg_damping: added to the curvature's diagonal in the conjugate gradient.
        cg_tolerance: the share of the gradient's squared norm at which its squared residual is small enough.
        backtrack_ratio: shortens the step at every try of the line search.
        max_backtracks: tries of the line search after the whole step.
        curvature_tasks: whose curvature the conjugate gradient takes, drawn anew at every update, as Schulman
            et al. subsample (appendix C); all if None. The gradient and the line search take all.
    """

    max_kl: PositiveFloat = 0.01
    cg_iterations: PositiveInt = 10
    cg_damping: NonNegativeFloat = 1e-5
    cg_tolerance: NonNegativeFloat = 1e-10
    backtrack_ratio: OpenUnitInterval = 0.8
    max_backtracks: PositiveInt = 15
    curvature_tasks: PositiveInt | None = None


class TrustRegionResult(NamedTuple):
    """The new parameters [D] (the old tensor itself if no step was accepted) and the diagnostics."""

    parameters: Tensor
    metrics: dict[str, float]
    rejection: str | None


class Stateless(NamedTuple):
    """What a trust region keeps from one update to the next: nothing."""


def trust_region(config: TrustRegionConfig) -> OuterStep[Stateless]:
    """The outer step of TRPO."""

    def update(theta: Parameters, state: Stateless, problem: OuterProblem) -> OuterResult:
        assert problem.curvature, "expected a problem with a curvature"
        found = problem.gradient(theta)
        gradient = flatten({name: found.gradient[name] for name in theta})
        result = trust_region_step(
            flatten(theta),
            gradient,
            found.gain,
            problem.curvature(theta, config.curvature_tasks),
            lambda candidate: problem.evaluate(unflatten(candidate, theta)),
            config,
        )
        metrics = {
            "surrogate_before": found.gain,
            "meta_gradient_norm": torch.linalg.vector_norm(gradient).item(),
            **found.metrics,
            **result.metrics,
        }
        return OuterResult(unflatten(result.parameters, theta), state, metrics, result.rejection)

    return OuterStep(lambda parameters: Stateless(), update)


def trust_region_step(
    parameters: Tensor,
    gradient: Tensor,
    surrogate_before: float,
    curvature_product: Callable[[Tensor], Tensor],
    evaluate: Callable[[Tensor], SurrogateAndKl],
    config: TrustRegionConfig,
) -> TrustRegionResult:
    """Maximises the surrogate within KL <= max_kl: step sqrt(2 delta / x'Bx) x with B x = gradient.

    A candidate is accepted only if its surrogate improves, its KL is within the bound and both are
    finite; otherwise the parameters stay what they were, bit for bit.

    Args:
        parameters, gradient: [D]; the surrogate's ascent gradient.
        curvature_product: v [D] -> (Hessian of the mean KL) v [D], without damping.
        evaluate: candidate [D] -> surrogate and KL.
    """

    damping: float = config.cg_damping

    def damped(v: Tensor) -> Tensor:
        return curvature_product(v) + damping * v

    solved = conjugate_gradient(damped, gradient, config.cg_iterations, config.cg_tolerance)
    curvature = solved.solution.dot(solved.image).item()
    metrics = {"cg_residual": solved.relative_residual.item(), "cg_iterations": float(solved.iterations)}
    if not (math.isfinite(curvature) and curvature > 0):
        reason = "zero gradient" if gradient.norm().item() == 0 else f"curvature {curvature:.3g}"
        unchanged = {"surrogate_after": surrogate_before, "kl": 0.0, "backtracks": 0.0, "step_norm": 0.0}
        return TrustRegionResult(parameters, {**metrics, **unchanged, "accepted": 0.0}, reason)
    step = (math.sqrt(2 * config.max_kl / curvature) * solved.solution).to(parameters.dtype)

    def rejection(tried: SurrogateAndKl) -> str | None:
        if not (math.isfinite(tried.surrogate) and math.isfinite(tried.kl)):
            return "not finite"
        if tried.kl > config.max_kl:
            return "KL above the bound"
        return None if tried.surrogate > surrogate_before else "no improvement"

    found = backtracking_line_search(
        lambda fraction: evaluate(parameters + fraction * step),
        rejection,
        config.backtrack_ratio,
        config.max_backtracks,
    )
    accepted = found.fraction > 0
    metrics |= {
        "surrogate_after": found.evaluation.surrogate if accepted else surrogate_before,
        "kl": found.evaluation.kl if accepted else 0.0,
        "backtracks": float(found.backtracks),
        "step_norm": found.fraction * torch.linalg.vector_norm(step).item(),
        "accepted": float(accepted),
    }
    if not accepted:
        return TrustRegionResult(parameters, metrics, _most_frequent(found.rejections))
    return TrustRegionResult(parameters + found.fraction * step, metrics, None)


def _most_frequent(rejections: dict[str, int]) -> str:
    return max(rejections, key=lambda reason: rejections[reason])
