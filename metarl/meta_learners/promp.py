"""ProMP (Rothfuss et al. 2019, algorithm 1): low-variance curvature inside, clipped ratios outside.

J(theta) = mean_i clipped surrogate(theta'_i(theta); query_i) - eta KL(pi_theta_old || pi_theta)   (eq. 13)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jsonargparse.typing import NonNegativeFloat
from torch import Tensor

from metarl.errors import ConfigError
from metarl.math.task_map import TaskMap
from metarl.meta_learners.gradient_learner import GradientConfig, GradientLearner
from metarl.meta_learners.maml import gradient_step
from metarl.meta_learners.meta_gradient import Gain, Path
from metarl.objectives import InnerObjective, Objective, mean_kl
from metarl.policies.gaussian_mlp import Policy
from metarl.rollout import Batch


@dataclass(frozen=True)
class PrompConfig(GradientConfig):
    """ProMP.

    Args:
        kl_penalty: eta, on how far every sampling policy moves from the one that sampled.
    """

    inner_objective: InnerObjective = "lvc"
    outer: Literal["trpo", "ppo"] = "ppo"
    kl_penalty: NonNegativeFloat = 5e-4


def promp(policy: Policy, config: PrompConfig, task_map: TaskMap) -> GradientLearner:
    """The meta-learner.

    Raises:
        ConfigError: another outer step than ProMP's.
    """
    if config.outer != "ppo":
        raise ConfigError(f"meta_learner.outer: expected ppo, promp's only one, got {config.outer}")
    kl, penalty = mean_kl(policy), float(config.kl_penalty)

    def gain_of(objective: Objective) -> Gain[Batch]:
        def gain(path: Path, support: Sequence[Batch], query: Batch) -> Tensor:
            moved = torch.stack([kl(path[k], batch) for k, batch in enumerate(support)])
            return objective(path[-1], query) - penalty * moved.mean()

        return gain

    return GradientLearner(policy, config, task_map, gradient_step(policy, config), gain_of=gain_of)
