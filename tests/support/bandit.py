"""A problem of one step whose every episode can be enumerated, in float64.

The observation is 0.5, the action a Gaussian number, the reward cos(action); then the expected return is
cos(mean) exp(-std^2 / 2), and Gauss-Hermite nodes stand for all episodes.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from metarl.math.gaussian import DiagonalGaussian
from metarl.math.parameters import Parameters
from metarl.policies.gaussian_mlp import GaussianMLP
from metarl.rollouts.rollout import Batch
from tests.support.references import log_density

OBSERVATION = 0.5
POLICY = GaussianMLP(observation_size=1, action_size=1, hidden_sizes=())
THETA = torch.tensor([0.6, 0.3, -0.5], dtype=torch.float64)  # weight, bias, log std


def named(vector: Tensor) -> Parameters:
    return {"mean.weight": vector[0].view(1, 1), "mean.bias": vector[1:2], "log_std": vector[2:]}


def vector(parameters: Parameters) -> Tensor:
    return torch.cat([parameters[name].reshape(-1) for name in ("mean.weight", "mean.bias", "log_std")])


def nodes(n: int) -> tuple[Tensor, Tensor]:
    """Points and weights of the standard normal: E f(x) = sum_j w_j f(x_j)."""
    points, weights = np.polynomial.hermite_e.hermegauss(n)
    return torch.as_tensor(points), torch.as_tensor(weights / weights.sum())


def mean_and_std(theta: Tensor) -> tuple[Tensor, Tensor]:
    return OBSERVATION * theta[0] + theta[1], theta[2].exp()


def expected_return(theta: Tensor) -> Tensor:
    mean, std = mean_and_std(theta)
    return mean.cos() * (-(std**2) / 2).exp()


def return_gradient(theta: Tensor) -> Tensor:
    mean, std = mean_and_std(theta)
    spread = (-(std**2) / 2).exp()
    in_mean = -mean.sin() * spread
    return torch.stack([OBSERVATION * in_mean, in_mean, -(std**2) * mean.cos() * spread])


def score(theta: Tensor, z: Tensor) -> Tensor:
    """The gradient of log pi at the action mean + std z."""
    in_mean = z / mean_and_std(theta)[1]
    return torch.stack([OBSERVATION * in_mean, in_mean, z**2 - 1])


def episodes(theta: Tensor, z: Tensor, share: Tensor) -> Batch:
    """One task's episodes of one step, one a node; `share` [node] makes means over them expectations."""
    mean, std = (value.expand(1, len(z), 1, 1) for value in mean_and_std(theta))
    actions = mean + std * z.view(1, -1, 1, 1)
    weighted = (actions.cos().squeeze(-1)) * share.view(1, -1, 1) * len(z)
    observations = torch.full_like(actions, OBSERVATION)
    return Batch(
        observations,
        actions,
        weighted,
        weighted,
        torch.ones_like(weighted, dtype=torch.bool),
        torch.ones_like(weighted[..., 0], dtype=torch.bool),
        observations[:, :, -1],
        DiagonalGaussian(mean, std.log()),
        log_density(mean, std.log(), actions),
    )


def all_episodes(theta: Tensor, n: int = 40) -> Batch:
    return episodes(theta, *nodes(n))


def one_episode(theta: Tensor, z: Tensor) -> Batch:
    return episodes(theta, z.view(1), torch.ones(1, dtype=torch.float64))


def slope(function, at: Tensor, epsilon: float = 1e-5) -> Tensor:
    """Central finite differences."""
    steps = epsilon * torch.eye(len(at), dtype=torch.float64)
    return torch.stack([(function(at + step) - function(at - step)) / (2 * epsilon) for step in steps])
