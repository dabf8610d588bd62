"""Per-task objectives of a policy: (parameters, one task's batch) -> scalar.

Batches here have no task axis: [episode, time, ...]. Callers map over tasks. What stands after an
episode's end, NaN included, enters neither a value nor a gradient: it is replaced before the policy sees
it, since the derivative of a mask on the result would be 0 * NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from metarl.errors import ConfigError
from metarl.math.parameters import Parameters
from metarl.math.returns import masked_mean, without_padding
from metarl.policies.policy import AnyPolicy, Policy, remembers
from metarl.rollouts.rollout import Batch

PolicyObjective = Callable[[Parameters, Batch], Tensor]
WeightedObjective = Callable[[Parameters, Batch, Tensor], Tensor]
"""(parameters, batch, weights [episode, time]) -> a scalar."""
InnerObjective = Literal["vpg", "lvc"]


def surrogate(policy: Policy) -> PolicyObjective:
    """mean of pi(a|s) / pi_behaviour(a|s) * advantage: to be maximised (Schulman et al. 2015, eq. 14).

    A scalar over the valid steps of one task's batch, [episode, time, ...], as of all functions here.

    Raises:
        ConfigError: a policy with memory, whose actions do not follow from the observation alone.
    """
    weighted = weighted_ratio(policy)
    return lambda parameters, batch: weighted(parameters, batch, batch.advantages)


def weighted_ratio(policy: Policy) -> WeightedObjective:
    """mean of pi(a|s) / pi_behaviour(a|s) * weight over the batch's valid steps.

    Raises:
        ConfigError: as `surrogate`.
    """
    memoryless(policy)

    def evaluate(parameters: Parameters, batch: Batch, weights: Tensor) -> Tensor:
        return masked_mean(_ratio(policy, parameters, batch) * weights, batch.valid)

    return evaluate


def clipped_surrogate(policy: Policy, clip: float) -> PolicyObjective:
    """The surrogate without gain from ratios beyond 1 +- clip (Schulman et al. 2017, eq. 7).

    Raises:
        ConfigError: as `surrogate`.
    """
    memoryless(policy)

    def evaluate(parameters: Parameters, batch: Batch) -> Tensor:
        ratio = _ratio(policy, parameters, batch)
        clipped = ratio.clamp(1 - clip, 1 + clip)
        gain = torch.minimum(ratio * batch.advantages, clipped * batch.advantages)
        return masked_mean(gain, batch.valid)

    return evaluate


def mean_kl(policy: Policy) -> PolicyObjective:
    """mean of KL(behaviour || policy) over the batch's valid steps, in nats; a scalar.

    Raises:
        ConfigError: as `surrogate`.
    """
    memoryless(policy)

    def evaluate(parameters: Parameters, batch: Batch) -> Tensor:
        behaviour = tree_map(lambda part: without_padding(part, batch.valid), batch.behaviour)
        distribution = policy(parameters, without_padding(batch.observations, batch.valid))
        return masked_mean(behaviour.kl_divergence(distribution), batch.valid)

    return evaluate


def inner_loss(policy: Policy, objective: InnerObjective) -> PolicyObjective:
    """The inner loop's loss, to be minimised.

    "vpg": -mean of log pi(a|s) * advantage (Finn et al. 2017, eq. 4). "lvc": minus the surrogate,
    whose gradient at the behaviour policy is the same and whose Hessian has lower variance
    (Rothfuss et al. 2019, eq. 10).

    Raises:
        ConfigError: as `surrogate`.
        ValueError: another objective.
    """
    memoryless(policy)
    if objective not in get_args(InnerObjective):
        raise ValueError(f"inner_objective: expected one of {get_args(InnerObjective)}, got {objective!r}")
    if objective == "lvc":
        gain = surrogate(policy)
        return lambda parameters, batch: -gain(parameters, batch)

    def vanilla_policy_gradient(parameters: Parameters, batch: Batch) -> Tensor:
        return -masked_mean(_score(policy, parameters, batch) * batch.advantages, batch.valid)

    return vanilla_policy_gradient


def memoryless(policy: AnyPolicy) -> Policy:
    """The policy, which has no memory.

    Raises:
        ConfigError: it has one.
    """
    if remembers(policy):
        raise ConfigError(
            f"policy.name: expected a policy without memory, got {type(policy).__name__}, whose actions "
            "follow from more than the observation: take a meta-learner that is made for it"
        )
    return policy


def _ratio(policy: Policy, parameters: Parameters, batch: Batch) -> Tensor:
    """pi(a|s) / pi_behaviour(a|s), [episode, time]; 1 in padding."""
    log_ratio = _score(policy, parameters, batch) - batch.behaviour_log_prob
    return torch.where(batch.valid, log_ratio, 0.0).exp()


def _score(policy: Policy, parameters: Parameters, batch: Batch) -> Tensor:
    """log pi(a|s), [episode, time]; 0 in padding."""
    distribution = policy(parameters, without_padding(batch.observations, batch.valid))
    score = distribution.log_prob(without_padding(batch.actions, batch.valid))
    return torch.where(batch.valid, score, 0.0)
