"""A policy that sees observations normalised by running moments, which no gradient step moves."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metarl.math.moments import Moments, normalised
from metarl.math.parameters import Parameters
from metarl.policies.layers import align
from metarl.policies.policy import AnyPolicy, Distribution, Policy, remembers

MEAN, VARIANCE, COUNT = (f"observations.{name}" for name in ("mean", "variance", "count"))
"""Names of the moments among the parameters."""


@dataclass(frozen=True)
class NormalisedPolicy:
    """pi(a | normalised observation); parameters as the policy's, and the moments, [observation] and [].

    Args:
        policy: takes the normalised observation.
    """

    policy: Policy

    @property
    def observation_size(self) -> int:
        return self.policy.observation_size

    @property
    def action_size(self) -> int:
        return self.policy.action_size

    def initial_parameters(self, generator: torch.Generator) -> Parameters:
        """The policy's, and moments of nothing: mean 0 and variance 1."""
        return {**self.policy.initial_parameters(generator), **no_moments(self.observation_size)}

    def __call__(self, parameters: Parameters, observations: Tensor) -> Distribution:
        return self.policy(without_moments(parameters), normalised_by(parameters, observations))


def normalising_policy(policy: AnyPolicy) -> NormalisedPolicy:
    """The policy on normalised observations.

    Raises:
        ValueError: a policy with memory.
    """
    if remembers(policy):
        kind = type(policy).__name__
        raise ValueError(
            f"normalise_observations: expected a policy without memory, got {kind}; leave it out"
        )
    return NormalisedPolicy(policy)


def no_moments(size: int) -> Parameters:
    """The moments' parameters before anything is seen."""
    return {MEAN: torch.zeros(size), VARIANCE: torch.ones(size), COUNT: torch.tensor(0.0)}


def without_moments(parameters: Parameters) -> Parameters:
    """The parameters that learners learn."""
    return {name: value for name, value in parameters.items() if name not in (MEAN, VARIANCE, COUNT)}


def moments_in(parameters: Parameters) -> Moments:
    """The moments among parameters without a task axis."""
    return Moments(parameters[MEAN], parameters[VARIANCE], parameters[COUNT])


def as_parameters(moments: Moments, like: Tensor) -> Parameters:
    """Moments as parameters, with the dtype and on the device of another."""
    return {name: value.to(like) for name, value in zip((MEAN, VARIANCE, COUNT), moments, strict=True)}


def normalised_by(parameters: Parameters, observations: Tensor) -> Tensor:
    """Observations [*task, ..., observation] normalised by the moments among parameters [*task, ...]."""
    mean, variance = (align(parameters[name], observations) for name in (MEAN, VARIANCE))
    return normalised(observations, mean, variance)
