"""CAVIA (Zintgraf et al. 2019, algorithm 2): only a context vector adapts, the weights never do.

phi_i  = phi_0 - alpha grad_phi L(theta, phi_0; support_i)   (eq. 5)
theta <- an outer step on mean_i surrogate(theta, phi_i; query_i)

The paper keeps phi_0 at zero. Here it is a parameter like any other that starts there: it enters the
first layer as a bias does, so that learning it adds nothing that the weights could not say.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from jsonargparse.typing import PositiveFloat, PositiveInt

from metarl.compute.task_map import TaskMap
from metarl.errors import ConfigError
from metarl.math.parameters import Parameters
from metarl.meta_learners.gradient_learner import GradientConfig, GradientLearner
from metarl.meta_learners.inner.gradient_step import inner_step
from metarl.objectives.policy_gradient import inner_loss
from metarl.policies.context import CONTEXT, ContextPolicy
from metarl.policies.gaussian_mlp import GaussianMLP
from metarl.policies.policy import Policy
from metarl.rollouts.rollout import Batch


@dataclass(frozen=True)
class CaviaConfig(GradientConfig):
    """CAVIA.

    Args:
        context_size: numbers in the context vector.
    """

    inner_step_size: PositiveFloat = 1.0
    context_size: PositiveInt = 5


def cavia(policy: Policy, config: CaviaConfig, task_map: TaskMap) -> GradientLearner:
    """The meta-learner, whose policy is told the context.

    Raises:
        ConfigError: another policy than the Gaussian MLP.
    """
    if not isinstance(policy, GaussianMLP):
        kind = type(policy).__name__
        raise ConfigError(f"meta_learner.name: cavia expected a Gaussian MLP policy, got {kind}")
    size = int(config.context_size)
    told = ContextPolicy(replace(policy, observation_size=policy.observation_size + size), size)
    loss = inner_loss(told, config.inner_objective)

    def step(parameters: Parameters, batch: Batch, k: int, first_order: bool) -> Parameters:
        return inner_step(
            loss, parameters, batch, config.step_size(k), names=(CONTEXT,), first_order=first_order
        )

    return GradientLearner(told, config, task_map, step, given=policy)
