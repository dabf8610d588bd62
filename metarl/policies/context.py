"""A policy that sees a context vector beside every observation; the context is a parameter."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from metarl.math.gaussian import DiagonalGaussian
from metarl.math.parameters import Parameters
from metarl.policies.gaussian_mlp import GaussianMLP
from metarl.policies.normalised import NormalisedPolicy
from metarl.policies.policy import AnyPolicy, remembers

CONTEXT = "context"


@dataclass(frozen=True)
class ContextPolicy:
    """pi(a | observation, context); parameters as `GaussianMLP`, and `context` [context_size].

    Args:
        network: takes the observation followed by the context.
        context_size: length of the context.
    """

    network: GaussianMLP
    context_size: int

    @property
    def observation_size(self) -> int:
        return self.network.observation_size - self.context_size

    @property
    def action_size(self) -> int:
        return self.network.action_size

    def initial_parameters(self, generator: torch.Generator) -> Parameters:
        """The network's, and a context of zeros."""
        return {**self.network.initial_parameters(generator), CONTEXT: torch.zeros(self.context_size)}

    def __call__(self, parameters: Parameters, observations: Tensor) -> DiagonalGaussian:
        context = parameters[CONTEXT]
        axes = observations.ndim - context.ndim
        aligned = context.view(*context.shape[:-1], *[1] * axes, self.context_size)
        context_seen = aligned.expand(*observations.shape[:-1], self.context_size)
        return self.network(parameters, torch.cat((observations, context_seen), dim=-1))


def plain_network(policy: AnyPolicy) -> GaussianMLP:
    """The network of the observation alone that a policy is while its context stays what it is.

    Raises:
        ValueError: neither `GaussianMLP` itself nor one that sees a context, but a subclass, which may
            compute something else, or one that normalises observations.
    """
    if remembers(policy):
        raise ValueError(
            f"expected a policy without memory, got {type(policy).__name__}, whose actions follow from more "
            "than the observation: use it by predict"
        )
    if isinstance(policy, NormalisedPolicy):
        raise ValueError(
            "expected a Gaussian MLP policy of observations as they are, got one that normalises them: "
            "train it without policy.normalise_observations"
        )
    network = policy.network if isinstance(policy, ContextPolicy) else policy
    if type(network) is not GaussianMLP:
        raise ValueError(
            f"expected a Gaussian MLP policy, with or without context, got {type(network).__name__}, "
            "whose layers may be others"
        )
    return replace(network, observation_size=policy.observation_size)


def without_context(policy: AnyPolicy, parameters: Parameters) -> Parameters:
    """The parameters of `plain_network(policy)`, which then acts as the policy does.

    The context is a part of the first layer's bias: W [o, c] + b = W_o o + (W_c c + b). What is no
    parameter of the network, such as learned step sizes, is left out.

    Args:
        parameters: without a task axis.

    Raises:
        ValueError: as `plain_network`.
    """
    network = plain_network(policy)
    names = [f"{layer}.{part}" for layer in network.layer_names for part in ("weight", "bias")]
    plain = {name: parameters[name] for name in (*names, "log_std")}
    if isinstance(policy, ContextPolicy):
        weight, bias = names[:2]
        of_observation, of_context = plain[weight].tensor_split((policy.observation_size,), dim=1)
        plain |= {weight: of_observation, bias: plain[bias] + of_context @ parameters[CONTEXT]}
    return plain


def start_at(initial: Parameters, plain: Parameters) -> Parameters:
    """Initial parameters with those of a plain network in place of their own.

    The context, its weights and learned step sizes stay initial; as the context starts at zero, the
    policy then acts as the plain network does.
    """
    started = dict(initial)
    for name, value in plain.items():
        own = initial[name].narrow(-1, value.shape[-1], initial[name].shape[-1] - value.shape[-1])
        started[name] = torch.cat((value.to(own), own), dim=-1)
    return started
