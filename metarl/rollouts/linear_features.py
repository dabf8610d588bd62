"""The linear feature baseline (Duan et al. 2016), one ridge regression a task."""

from __future__ import annotations

import torch
from torch import Tensor

OBSERVATION_CLIP = 10.0
TIME_SCALE = 100.0


def features(observations: Tensor, time: Tensor) -> Tensor:
    """Clipped observation, its square, (t/100)^1..3 and 1, in float64.

    Args:
        observations: [..., observation].
        time: [...], steps since the episode's start.

    Returns:
        [..., 2 observation + 4].
    """
    clipped = observations.double().clamp(-OBSERVATION_CLIP, OBSERVATION_CLIP)
    scaled = (time.double() / TIME_SCALE).unsqueeze(-1)
    ones = torch.ones_like(scaled)
    return torch.cat([clipped, clipped.square(), scaled, scaled**2, scaled**3, ones], dim=-1)


def fit(inputs: Tensor, targets: Tensor, valid: Tensor, ridge: float = 1e-5) -> Tensor:
    """Least squares over each task's valid steps: (F'F + ridge I) w = F'y, in float64.

    Where a task's system is singular to working precision its ridge grows tenfold until it is not.

    Args:
        inputs: [task, episode, time, feature] float64.
        targets, valid: [task, episode, time].

    Returns:
        Weights [task, feature].
    """
    tasks, size = inputs.shape[0], inputs.shape[-1]
    # Padding may hold anything, NaN included: select, do not multiply.
    f = torch.where(valid.unsqueeze(-1), inputs, 0.0).reshape(tasks, -1, size)
    y = torch.where(valid, targets.double(), 0.0).reshape(tasks, -1, 1)
    gram, moment = f.mT @ f, f.mT @ y
    ridges = torch.full((tasks, 1, 1), ridge, dtype=torch.float64, device=f.device)
    identity = torch.eye(size, dtype=torch.float64, device=f.device)
    while True:
        factor, failed = torch.linalg.cholesky_ex(gram + ridges * identity)
        if not failed.any():
            return torch.cholesky_solve(moment, factor).squeeze(-1)
        ridges = torch.where((failed > 0).view(-1, 1, 1), ridges * 10, ridges)


def predict(weights: Tensor, inputs: Tensor) -> Tensor:
    """Values of features [task, ..., feature] under weights [task, feature]; [task, ...]."""
    flat = inputs.reshape(inputs.shape[0], -1, inputs.shape[-1])
    return (flat @ weights.unsqueeze(-1)).view(inputs.shape[:-1])
