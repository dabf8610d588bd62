"""Gradient steps of soft actor-critic on replayed steps of several tasks (Rakelly et al. 2019).

q     = prod_n N(mu(c_n), sigma^2(c_n)),  z ~ q,  z' = z without gradient
L_Q   = sum_i mean (Q_i(o, a, z) - y)^2 / 2 + lambda mean KL(q || N(0, I))          -> critics and encoder
y     = r + gamma (1 - terminated) (min_i Q'_i(o', a', z') - alpha log pi(a' | o', z'))
L_pi  = mean alpha log pi(a | o, z') - min_i Q_i(o, a, z')                            -> actor
L_a   = -log alpha mean(log pi(a | o, z') + target)                                   -> temperature
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jsonargparse.typing import NonNegativeFloat
from torch import Tensor

from metarl.compute.task_map import TaskMap
from metarl.math.gaussian import DiagonalGaussian
from metarl.math.gaussian_product import kl_to_unit
from metarl.math.parameters import Parameters
from metarl.meta_learners.outer.soft_steps import CRITICS, Groups, SoftConfig, SoftState, SoftSteps
from metarl.meta_learners.outer.trial_rows import Steps
from metarl.objectives.soft_actor_critic import actor_loss, critic_loss, soft_targets, temperature_loss
from metarl.policies.posterior import PosteriorPolicy
from metarl.policies.relu_mlp import relu_mlp, relu_parameters

GROUPS: Groups = {
    "critics": ("critic.", "encoder."),
    "actor": ("actor.",),
    "temperature": ("log_temperature",),
}


@dataclass(frozen=True)
class LatentSoftConfig(SoftConfig):
    """Soft actor-critic whose networks see a latent.

    Args:
        kl_weight: lambda, of the posterior's KL to N(0, I), both terms means over tasks.
    """

    kl_weight: NonNegativeFloat = 0.03


class Noise(NamedTuple):
    """Standard normal: of z [task, z], of actions and of those that follow, [task, step, action]."""

    latent: Tensor
    actions: Tensor
    next_actions: Tensor


class Losses(NamedTuple):
    """Of one gradient step, means over this rank's tasks, scalars; `values` of the critics' values."""

    critic: Tensor
    actor: Tensor
    kl: Tensor
    values: Tensor
    posterior_std: Tensor


def critic_parameters(policy: PosteriorPolicy, config: SoftConfig, generator: torch.Generator) -> Parameters:
    """Of the critics, side by side, and of the temperature."""
    sizes = (policy.feature_size + policy.action_size, *map(int, config.critic_sizes), 1)
    temperature = torch.tensor(float(config.initial_temperature))
    critics = relu_parameters("critic", sizes, generator, CRITICS)
    return {**critics, "log_temperature": temperature.log()}


class SoftDescent:
    """Gradient steps one after the other; `steps` holds where they led.

    Args:
        updates: how many lie behind the state, for the learning rate's schedule.
    """

    def __init__(
        self,
        policy: PosteriorPolicy,
        config: LatentSoftConfig,
        parameters: Parameters,
        state: SoftState,
        task_map: TaskMap,
        updates: int = 0,
    ) -> None:
        self._policy, self._config = policy, config
        self.steps = SoftSteps(config, GROUPS, parameters, state, task_map, updates)

    def step(self, context: Tensor, steps: Steps, noise: Noise) -> Losses:
        """One step of every optimiser; temperature first, then critics with the encoder, then the actor.

        Args:
            context: what factors see, [task, step, in]; as `steps` and `noise` of this rank's tasks, of
                which every rank may have its own number.
        """
        config, own = self._config, self.steps
        theta, share = own.leaves, torch.tensor(len(context), device=context.device)
        posterior = posterior_of(self._policy, theta, context)
        latent = posterior.draw(noise.latent)
        known = latent.detach()
        actions, log_prob = self._drawn(steps.observations, known, noise.actions)
        temperature = theta["log_temperature"].detach().exp()
        if config.learns_temperature:
            aimed = temperature_loss(theta["log_temperature"], log_prob, self._policy.target_entropy)
            own.descend("temperature", aimed, share)
        with torch.no_grad():
            following, next_log_prob = self._drawn(steps.next_observations, known, noise.next_actions)
            next_values = self._values(own.targets, steps.next_observations, following, known)
            targets = soft_targets(
                steps.rewards,
                steps.terminated,
                next_values,
                next_log_prob,
                temperature,
                float(config.discount),
            )
        values = self._values(theta, steps.observations, steps.actions, latent)
        of_critics, kl = critic_loss(values, targets), kl_to_unit(posterior).mean()
        own.descend("critics", of_critics + float(config.kl_weight) * kl, share)
        judged = self._values(theta, steps.observations, actions, known)
        of_actor = actor_loss(log_prob, judged, temperature)
        own.descend("actor", of_actor, share)
        own.follow()
        return Losses(*(x.detach() for x in (of_critics, of_actor, kl, values.mean(), posterior.std.mean())))

    def _drawn(self, observations: Tensor, latent: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        features = with_latent(observations, latent)
        return self._policy.distribution(self.steps.leaves, features).draw_with_log_prob(noise)

    def _values(self, theta: Parameters, observations: Tensor, actions: Tensor, latent: Tensor) -> Tensor:
        """Of all critics, [critic, task, step]."""
        inputs = torch.cat((with_latent(observations, latent), actions), dim=-1)
        layers = len(self._config.critic_sizes) + 1
        return relu_mlp(theta, "critic", layers, inputs.expand(CRITICS, *inputs.shape)).squeeze(-1)


def posterior_of(policy: PosteriorPolicy, theta: Parameters, context: Tensor) -> DiagonalGaussian:
    """q(z | c), [task, z], of contexts [task, step, in]."""
    return policy.factors(theta, context).product(-2).gaussian()


def with_latent(observations: Tensor, latent: Tensor) -> Tensor:
    """Observations [task, step, observation], each beside its task's z [task, z]."""
    return torch.cat((observations, latent.unsqueeze(1).expand(-1, observations.shape[1], -1)), dim=-1)
