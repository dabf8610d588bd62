"""VariBAD (Zintgraf et al. 2020): a policy that acts on a belief about its task, of a variational encoder.

b_t  = q(z | tau_:t) = N(mu_t, sigma_t^2), by a recurrent encoder over all of a task's episodes: one trial
L    = mean over trials of sum_t [ sum_k (decode(z_t, s_k, a_k, s_{k+1}) - r_k)^2 + beta KL(q_t || q_{t-1}) ]
J    = PPO's objective along the trial, of a policy and a value that see (s, mu_t, sigma_t)
J does not reach the encoder. Adaptation changes the belief alone, in acting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from jsonargparse.typing import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor

from metarl.compute.task_map import TaskMap
from metarl.math.gaussian import DiagonalGaussian
from metarl.math.parameters import Parameters, flatten
from metarl.math.returns import without_padding
from metarl.meta_learners.learner import NOT_FINITE, LearnerState, MetaLearner, Update, remembered
from metarl.meta_learners.outer.clipped import (
    AdamState,
    adam_of,
    adam_start,
    updates_done,
)
from metarl.meta_learners.outer.descent import descend, detached
from metarl.meta_learners.outer.schedule import SCHEDULED, check_learning_rate
from metarl.meta_learners.outer.trials import (
    TrialConfig,
    climb,
    value_parameters,
    values_of,
    variance_of,
)
from metarl.objectives.belief_draws import BeliefDraws, belief_draws, taken
from metarl.objectives.beliefs import BeliefLoss, chain_kl, final_beliefs, pick, reconstruction
from metarl.objectives.decoders import (
    decoded,
    decoder,
    decoder_parameters,
    rewards_asked,
    states_asked,
)
from metarl.policies.belief import BeliefPolicy
from metarl.rollouts.rollout import Batch, MetaBatch, seeds_of
from metarl.rollouts.trials import Trials, join_trials

_OF_BELIEFS = ("encoder.", "belief.", "rewards.", "states.")
"""Beginnings of the names that L learns; J learns the others."""


@dataclass(frozen=True)
class VaribadConfig(TrialConfig):
    """VariBAD: PPO over whole trials, and a variational auto-encoder of them.

    Args:
        belief_learning_rate: the rate of Adam on L; by the same schedule, to `final_belief_learning_rate`.
        final_belief_learning_rate: the rate at the schedule's end.
        belief_updates: steps on L per iteration.
        belief_trials: how many of the iteration's trials are in such a step; 0 for all.
        prefixes: how many of a trial decode in a step, drawn; 0 for all.
        decodes: steps of a trial that each of them decodes, drawn; 0 for all.
        kl_weight: the KL term's weight, beta.
        decodes_states: whether observations that follow are decoded too.
        decoder_sizes: units of a decoder's hidden layers, tanh.
    """

    belief_learning_rate: PositiveFloat = 1e-3
    final_belief_learning_rate: NonNegativeFloat = 1e-5
    belief_updates: PositiveInt = 3
    belief_trials: NonNegativeInt = 25
    prefixes: NonNegativeInt = 50
    decodes: NonNegativeInt = 50
    kl_weight: NonNegativeFloat = 1.0
    decodes_states: bool = False
    decoder_sizes: tuple[PositiveInt, ...] = (64, 32)

    read_with: ClassVar[dict[str, Any]] = {**TrialConfig.read_with, "final_belief_learning_rate": SCHEDULED}

    def __post_init__(self) -> None:
        super().__post_init__()
        check_learning_rate("meta_learner.belief_learning_rate", float(self.belief_learning_rate))

    def belief_rate(self, updates: int) -> float:
        """The learning rate on L after so many updates."""
        return self.between(float(self.belief_learning_rate), float(self.final_belief_learning_rate), updates)


class VaribadOptimiser(NamedTuple):
    """Adam's states of J and L."""

    policy: AdamState
    beliefs: AdamState


def varibad(policy: BeliefPolicy, config: VaribadConfig, task_map: TaskMap) -> MetaLearner:
    """The meta-learner that climbs J and descends L."""

    def initial_parameters(generator: torch.Generator) -> Parameters:
        own = policy.initial_parameters(generator)
        value = value_parameters(config, policy.feature_size, generator)
        return {**own, **value, **decoders_of(policy, config, generator)}

    def start(parameters: Parameters) -> LearnerState:
        acting, beliefs = split(parameters)
        return LearnerState(parameters, VaribadOptimiser(adam_start(acting), adam_start(beliefs)))

    def update(state: LearnerState, batch: MetaBatch) -> Update:
        return _update(policy, config, state, batch.query, task_map)

    return MetaLearner(policy, 0, initial_parameters, start, remembered, update)


def split(parameters: Parameters) -> tuple[Parameters, Parameters]:
    """What J learns, and what L learns."""
    of_beliefs = {name: value for name, value in parameters.items() if name.startswith(_OF_BELIEFS)}
    return {name: value for name, value in parameters.items() if name not in of_beliefs}, of_beliefs


def decoders_of(policy: BeliefPolicy, config: VaribadConfig, generator: torch.Generator) -> Parameters:
    """Of the decoders of rewards and, if they are decoded, of states."""
    latent, state, action = int(policy.latent_size), policy.observation_size, policy.action_size
    sizes = tuple(map(int, config.decoder_sizes))
    parameters = decoder_parameters("rewards", latent + 2 * state + action, 1, sizes, generator)
    if config.decodes_states:
        parameters |= decoder_parameters("states", latent + state + action, state, sizes, generator)
    return parameters


def beliefs_of(policy: BeliefPolicy, theta: Parameters, trials: Trials) -> DiagonalGaussian:
    """After 0, 1, ..., T steps of every trial; [trial, T + 1, z], the prior first."""
    observed = without_padding(trials.next_observations, trials.valid)
    actions = without_padding(trials.actions, trials.valid)
    rewards = torch.where(trials.valid, trials.rewards, 0.0)
    return policy.beliefs(theta, policy.encoded(actions, rewards, observed))


def belief_loss(
    policy: BeliefPolicy,
    config: VaribadConfig,
    theta: Parameters,
    trials: Trials,
    draws: BeliefDraws,
) -> BeliefLoss:
    """The parts of L on some trials, means over them."""
    beliefs, lengths = beliefs_of(policy, theta, trials), trials.valid.sum(1)
    dtype = beliefs.mean.dtype
    prefixes = pick(lengths + 1, draws.prefixes, dtype)
    steps = pick(lengths, draws.steps, dtype)
    noise = draws.noise[:, : prefixes.places.shape[1]].to(dtype)
    asked = {"rewards": rewards_asked(trials)}
    if config.decodes_states:
        asked["states"] = states_asked(trials)
    lost = torch.stack(
        [
            reconstruction(decoder(theta, name), beliefs, noise, *of_steps, prefixes, steps)
            for name, of_steps in asked.items()
        ]
    )
    return BeliefLoss(lost.sum(0).mean(), chain_kl(beliefs, lengths).mean())


def _update(
    policy: BeliefPolicy, config: VaribadConfig, state: LearnerState, batch: Batch, task_map: TaskMap
) -> Update:
    trials, seeds = join_trials(batch), seeds_of(batch)
    acting, of_beliefs = split(state.parameters)
    with torch.no_grad():
        beliefs = beliefs_of(policy, of_beliefs, trials)
    before = DiagonalGaussian(*(part[:, :-1] for part in beliefs))
    observations = without_padding(trials.observations, trials.valid)
    seen = trials._replace(features=policy.features(observations, before))

    def unroll(theta: Parameters, chosen: Trials) -> tuple[DiagonalGaussian, Tensor]:
        return policy.distribution(theta, chosen.features), values_of(config, theta, chosen.features)

    after = climb(config, acting, state.optimiser.policy, seen, unroll, task_map)
    adam_before = state.optimiser.beliefs
    learned, adam, metrics = _learn_beliefs(policy, config, of_beliefs, adam_before, trials, seeds, task_map)
    metrics |= {**after.metrics, **_told_by(beliefs, of_beliefs, trials, task_map)}
    if not (after.finite and torch.isfinite(flatten(learned)).all()):
        return Update(state, {**metrics, "kl": 0.0, "accepted": 0.0}, NOT_FINITE)
    both = {**after.parameters, **learned}
    parameters = {name: both[name] for name in state.parameters}
    optimiser = VaribadOptimiser(after.optimiser, adam)
    return Update(LearnerState(parameters, optimiser), {**metrics, "accepted": 1.0})


def _told_by(
    beliefs: DiagonalGaussian, theta: Parameters, trials: Trials, task_map: TaskMap
) -> dict[str, float]:
    """How sure beliefs are in the course of a trial, and what its end tells of the rewards."""
    ends, asked = final_beliefs(beliefs, trials.valid.sum(1)), rewards_asked(trials)
    with torch.no_grad():
        errors = (decoded(theta, "rewards", ends.mean, asked) - asked.targets).square().squeeze(-1)
    variance = variance_of(asked.targets.squeeze(-1), trials.valid, task_map)
    return {
        "prior_std": task_map.mean(beliefs.std[:, 0].mean(-1)).item(),
        "belief_std": task_map.masked_mean(beliefs.std[:, 1:].mean(-1), trials.valid).item(),
        "final_belief_std": task_map.mean(ends.std.mean(-1)).item(),
        "rewards_explained": (1 - task_map.masked_mean(errors, trials.valid) / variance).item(),
    }


def _learn_beliefs(
    policy: BeliefPolicy,
    config: VaribadConfig,
    parameters: Parameters,
    optimiser: AdamState,
    trials: Trials,
    seeds: Tensor,
    task_map: TaskMap,
) -> tuple[Parameters, AdamState, dict[str, float]]:
    """Steps of Adam down L.

    Args:
        seeds: of the trials' draws, [task].
    """
    leaves = {name: value.clone().requires_grad_() for name, value in parameters.items()}
    rate = config.belief_rate(updates_done(optimiser, int(config.belief_updates)))
    adam = adam_of(leaves, optimiser, rate)
    sizes = int(config.prefixes), int(config.decodes), trials.valid.shape[1], int(policy.latent_size)
    for number in range(int(config.belief_updates)):
        draws = belief_draws(seeds, number, *sizes)
        chosen = taken(draws, int(config.belief_trials), task_map)
        some = Trials(*(part[chosen] for part in trials))
        loss = belief_loss(policy, config, leaves, some, draws.of(chosen))
        total = loss.reconstruction + float(config.kl_weight) * loss.kl
        share = torch.tensor(len(chosen), device=seeds.device)
        descend(adam, leaves, total, share, task_map, float(config.max_gradient_norm))
    mean: BeliefLoss = task_map.weighted_mean(BeliefLoss(*(part.detach() for part in loss)), share)
    metrics = {"reconstruction": mean.reconstruction.item(), "belief_kl": mean.kl.item()}
    return {name: leaf.detach() for name, leaf in leaves.items()}, detached(adam, leaves), metrics
