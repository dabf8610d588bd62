"""Gradient steps of recurrent soft actor-critic on whole trials (Ni et al. 2022).

x_t  = [o_t, a_{t-1}, r_{t-1}, end_{t-1}];  h_t = GRU(h_{t-1}, x_t) of the actor, k_t that of the critics
L_Q  = sum_i mean (Q_i(k_t, o_t, a_t) - y_t)^2 / 2                                   -> critics and their GRU
y_t  = r_t + gamma c_t (min_i Q'_i(k'_{t+1}, o_{t+1}, a') - alpha log pi(a' | h_{t+1}, o_{t+1}))
L_pi = mean alpha log pi(a | h_t, o_t) - min_i Q_i(k_t, o_t, a)                      -> actor and its GRU
L_a  = -log alpha mean(log pi(a | h_t, o_t) + target)                                -> temperature

An episode's end is a step of the trial like others: what follows is the next episode's first step. c_t is 0
where the environment ends a trial's last episode, and 1 elsewhere, also where time runs out. Means are over
all steps of the trials.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from metarl.compute.task_map import TaskMap
from metarl.math.parameters import Parameters
from metarl.math.squashed import SquashedGaussian
from metarl.meta_learners.outer.soft_steps import CRITICS, Groups, SoftConfig, SoftState, SoftSteps
from metarl.meta_learners.outer.trial_draws import ReplayedTrials, without_padding
from metarl.meta_learners.outer.trial_rows import last_steps
from metarl.objectives.soft_actor_critic import actor_loss, critic_loss, soft_targets, temperature_loss
from metarl.policies.gru import gru_parameters, gru_sequence
from metarl.policies.relu_mlp import relu_mlp, relu_parameters
from metarl.policies.squashed_gru import SquashedGruPolicy

GROUPS: Groups = {
    "critics": ("critic.",),
    "actor": ("gru.", "actor."),
    "temperature": ("log_temperature",),
}


class Seen(NamedTuple):
    """What there was to see in trials, one moment more than steps.

    Args:
        observations: [trial, time + 1, observation], after a trial's last step its final one.
        inputs: of the recurrent networks, [trial, time + 1, in].
    """

    observations: Tensor
    inputs: Tensor


class Losses(NamedTuple):
    """Of one gradient step, means over this rank's steps, scalars; `values` of the critics' values."""

    critic: Tensor
    actor: Tensor
    values: Tensor


def critic_parameters(
    policy: SquashedGruPolicy, config: SoftConfig, hidden_size: int, generator: torch.Generator
) -> Parameters:
    """Of the critics, side by side on a GRU that they share, and of the temperature."""
    seen = policy.observation_size + policy.outcome_size
    sizes = (
        hidden_size + policy.observation_size + policy.action_size,
        *map(int, config.critic_sizes),
        1,
    )
    return {
        **gru_parameters("critic.gru", seen, hidden_size, generator),
        **relu_parameters("critic", sizes, generator, CRITICS),
        "log_temperature": torch.tensor(float(config.initial_temperature)).log(),
    }


def seen_in(policy: SquashedGruPolicy, trials: ReplayedTrials) -> Seen:
    """What the networks read of trials from their start."""
    steps, valid = trials.steps, trials.valid
    outcomes = policy.outcomes(steps.actions, steps.rewards, trials.last)
    before = torch.nn.functional.pad(outcomes, (0, 0, 1, 0))
    final = torch.nn.functional.pad(valid, (1, 0)) & ~torch.nn.functional.pad(valid, (0, 1))
    following = torch.nn.functional.pad(steps.next_observations, (0, 0, 1, 0))
    own = torch.nn.functional.pad(steps.observations, (0, 0, 0, 1))
    observations = torch.where(final.unsqueeze(-1), following, own)
    return Seen(observations, torch.cat((observations, before), dim=-1))


class RecurrentDescent:
    """Gradient steps one after the other; `steps` holds where they led.

    Args:
        updates: how many lie behind the state, for the learning rate's schedule.
    """

    def __init__(
        self,
        policy: SquashedGruPolicy,
        config: SoftConfig,
        parameters: Parameters,
        state: SoftState,
        task_map: TaskMap,
        updates: int = 0,
    ) -> None:
        self._policy, self._config = policy, config
        self.steps = SoftSteps(config, GROUPS, parameters, state, task_map, updates)

    def step(self, trials: ReplayedTrials, noise: Tensor) -> Losses:
        """One step of every optimiser; temperature first, then critics with their GRU, then the actor.

        Args:
            trials: of this rank, which may have none.
            noise: standard normal, of the actions at all moments, [trial, time + 1, action].
        """
        config, own, trials = self._config, self.steps, without_padding(trials)
        steps, _, valid = trials
        theta, share = own.leaves, valid.sum()
        seen = seen_in(self._policy, trials)
        actions, log_prob = distribution(self._policy, theta, seen).draw_with_log_prob(noise)
        temperature = theta["log_temperature"].detach().exp()
        if config.learns_temperature:
            of_steps = log_prob[:, :-1][valid]
            aimed = temperature_loss(theta["log_temperature"], of_steps, self._policy.target_entropy)
            own.descend("temperature", aimed, share)
        with torch.no_grad():
            following = self._values(own.targets, remembered(own.targets, seen), seen, actions)[..., 1:]
            ends = steps.terminated & last_steps(valid)
            targets = soft_targets(
                steps.rewards, ends, following, log_prob[:, 1:], temperature, float(config.discount)
            )
        before = Seen(seen.observations[:, :-1], seen.inputs[:, :-1])
        values = self._values(theta, remembered(theta, before), before, steps.actions)[:, valid]
        of_critics = critic_loss(values, targets[valid])
        own.descend("critics", of_critics, share)
        with torch.no_grad():
            known = remembered(theta, before)
        judged = self._values(theta, known, before, actions[:, :-1])[:, valid]
        of_actor = actor_loss(log_prob[:, :-1][valid], judged, temperature)
        own.descend("actor", of_actor, share)
        own.follow()
        return Losses(*(x.detach() for x in (of_critics, of_actor, values.mean())))

    def _values(self, theta: Parameters, known: Tensor, seen: Seen, actions: Tensor) -> Tensor:
        """Of all critics, [critic, trial, moment]."""
        inputs = torch.cat((known, seen.observations, actions), dim=-1)
        layers = len(self._config.critic_sizes) + 1
        return relu_mlp(theta, "critic", layers, inputs.expand(CRITICS, *inputs.shape)).squeeze(-1)


def distribution(policy: SquashedGruPolicy, theta: Parameters, seen: Seen) -> SquashedGaussian:
    """Of the actions at all moments, [trial, moment, action]."""
    return policy.distribution(theta, policy.unroll(theta, seen.inputs), seen.observations)


def remembered(theta: Parameters, seen: Seen) -> Tensor:
    """What the critics' GRU holds at all moments, [trial, moment, h]."""
    return gru_sequence(theta, "critic.gru", seen.inputs)
