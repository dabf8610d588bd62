"""RL^2 (Duan et al. 2016; Wang et al. 2016): a policy that remembers learns how to learn.

h_t  = GRU(h_{t-1}, [o_t, a_{t-1}, r_{t-1}, end_{t-1}])      over all of a task's episodes: one trial
J    = mean min(rho_t A_t, clip(rho_t) A_t) - c_v huber(V_t - R_t) + c_e entropy_t
A_t  = sum_k (gamma lambda)^k delta_{t+k}                    along the trial, episode ends included
Adaptation changes the memory alone, in acting.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metarl.compute.task_map import TaskMap
from metarl.math.gaussian import DiagonalGaussian
from metarl.math.parameters import Parameters
from metarl.math.returns import without_padding
from metarl.meta_learners.learner import NOT_FINITE, LearnerState, MetaLearner, Update, remembered
from metarl.meta_learners.outer.clipped import adam_start
from metarl.meta_learners.outer.trials import TrialConfig, climb, value_parameters, values_of
from metarl.policies.recurrent import GruPolicy
from metarl.rollouts.rollout import MetaBatch
from metarl.rollouts.trials import Trials, join_trials


@dataclass(frozen=True)
class Rl2Config(TrialConfig):
    """RL^2."""


def rl2(policy: GruPolicy, config: Rl2Config, task_map: TaskMap) -> MetaLearner:
    """The meta-learner that climbs J over whole trials."""

    def initial_parameters(generator: torch.Generator) -> Parameters:
        own = policy.initial_parameters(generator)
        return {**own, **value_parameters(config, policy.feature_size, generator)}

    def start(parameters: Parameters) -> LearnerState:
        return LearnerState(parameters, adam_start(parameters))

    def update(state: LearnerState, batch: MetaBatch) -> Update:
        trials = join_trials(batch.query)
        after = climb(
            config,
            state.parameters,
            state.optimiser,
            trials,
            lambda theta, chosen: unroll(policy, config, theta, chosen),
            task_map,
        )
        if not after.finite:
            return Update(state, {**after.metrics, "kl": 0.0, "accepted": 0.0}, NOT_FINITE)
        return Update(LearnerState(after.parameters, after.optimiser), {**after.metrics, "accepted": 1.0})

    return MetaLearner(policy, 0, initial_parameters, start, remembered, update)


def unroll(
    policy: GruPolicy, config: TrialConfig, theta: Parameters, trials: Trials
) -> tuple[DiagonalGaussian, Tensor]:
    """The distribution of every step's action, [task, time, action], and the values [task, time]."""
    observations = without_padding(trials.observations, trials.valid)
    actions = without_padding(trials.actions, trials.valid)
    rewards = torch.where(trials.valid, trials.rewards, 0.0)
    outcomes = policy.outcomes(actions, rewards, trials.last)
    before = torch.cat((torch.zeros_like(outcomes[:, :1]), outcomes[:, :-1]), dim=1)
    hidden = policy.unroll(theta, torch.cat((observations, before), dim=-1))
    features = policy.features(theta, hidden, observations)
    return policy.distribution(theta, features), values_of(config, theta, features)
