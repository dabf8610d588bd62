"""Out to plain PyTorch: a policy and its parameters as a `torch.nn.Module` of the mean action."""

from __future__ import annotations

import gymnasium
import numpy as np
import torch
from torch import Tensor

from metarl.math.moments import normalised
from metarl.math.parameters import Parameters
from metarl.policies.context import ContextPolicy, plain_network, without_context
from metarl.policies.gaussian_mlp import GaussianMLP
from metarl.policies.normalised import MEAN, VARIANCE, NormalisedPolicy, without_moments
from metarl.policies.policy import Policy

ACTIVATIONS: dict[str, type[torch.nn.Module]] = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}


def to_torch(policy: Policy, parameters: Parameters, space: gymnasium.spaces.Box | None) -> torch.nn.Module:
    """A module from observations [..., observation] to mean actions [..., action].

    A Gaussian MLP becomes an `nn.Sequential` of `nn.Linear` and activations, with nothing of metarl in it; a
    context becomes part of its first bias. Any other policy becomes a module that calls it, whose state dict
    has the policy's own names. Before a policy that normalises observations stands a module of metarl's own.

    Args:
        parameters: one task's, without a task axis; copied.
        space: clips the actions to a box; None for none. Of a box with other bounds for some actions than
            for others, the clipping is a module of metarl's own.
    """
    if isinstance(policy, NormalisedPolicy):
        first = Normalised(*(parameters[name].detach().clone() for name in (MEAN, VARIANCE)))
        rest = to_torch(policy.policy, without_moments(parameters), space)
        return torch.nn.Sequential(first, *_parts(rest))
    network = policy.network if isinstance(policy, ContextPolicy) else policy
    module = _layers(policy, parameters) if type(network) is GaussianMLP else PolicyModule(policy, parameters)
    if space is not None:
        like = next(iter(parameters.values()))
        module = torch.nn.Sequential(*_parts(module), _clipping(space, like))
    return module


class PolicyModule(torch.nn.Module):
    """The mean action of a policy, whose parameters are the module's, by the same names."""

    def __init__(self, policy: Policy, parameters: Parameters) -> None:
        super().__init__()
        self._policy = policy
        self._names = list(parameters)
        for name, value in parameters.items():
            *path, last = name.split(".")
            holder: torch.nn.Module = self
            for part in path:
                if part not in dict(holder.named_children()):
                    holder.add_module(part, torch.nn.Module())
                holder = holder.get_submodule(part)
            holder.register_parameter(last, torch.nn.Parameter(value.detach().clone()))

    def forward(self, observations: Tensor) -> Tensor:
        parameters: Parameters = {name: self.get_parameter(name) for name in self._names}
        return self._policy(parameters, observations).mode


class Normalised(torch.nn.Module):
    """Observations [..., observation] normalised by moments, [observation] each."""

    def __init__(self, mean: Tensor, variance: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("variance", variance)

    def forward(self, observations: Tensor) -> Tensor:
        return normalised(observations, self.get_buffer("mean"), self.get_buffer("variance"))


class Clipped(torch.nn.Module):
    """Actions [..., action] within bounds of their own, [action] each."""

    def __init__(self, low: Tensor, high: Tensor) -> None:
        super().__init__()
        self.register_buffer("low", low)
        self.register_buffer("high", high)

    def forward(self, actions: Tensor) -> Tensor:
        return torch.clamp(actions, self.get_buffer("low"), self.get_buffer("high"))


def _parts(module: torch.nn.Module) -> list[torch.nn.Module]:
    return [*module] if isinstance(module, torch.nn.Sequential) else [module]


def _layers(policy: Policy, parameters: Parameters) -> torch.nn.Module:
    network, plain = plain_network(policy), without_context(policy, parameters)
    modules: list[torch.nn.Module] = []
    for name in network.layer_names:
        weight, bias = plain[f"{name}.weight"], plain[f"{name}.bias"]
        layer = torch.nn.Linear(weight.shape[1], weight.shape[0], device="meta")  # draws no initial weights
        layer.load_state_dict({"weight": weight.clone(), "bias": bias.clone()}, assign=True)
        modules += [layer, ACTIVATIONS[network.activation]()]
    return torch.nn.Sequential(*modules[:-1])


def _clipping(space: gymnasium.spaces.Box, like: Tensor) -> torch.nn.Module:
    low, high = (bound.ravel().astype(np.float64) for bound in (space.low, space.high))
    if (low == low[0]).all() and (high == high[0]).all():
        return torch.nn.Hardtanh(float(low[0]), float(high[0]))
    bounds = (torch.from_numpy(bound).to(like.device, like.dtype) for bound in (low, high))
    return Clipped(*bounds)
