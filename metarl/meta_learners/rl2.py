"""RL^2 (Duan et al. 2016; Wang et al. 2016): a policy that remembers learns how to learn.

h_t  = GRU(h_{t-1}, [o_t, a_{t-1}, r_{t-1}, end_{t-1}])      over all of a task's episodes: one trial
J    = mean min(rho_t A_t, clip(rho_t) A_t) - c_v huber(V_t - R_t) + c_e entropy_t
A_t  = sum_k (gamma lambda)^k delta_{t+k}                    along the trial, episode ends included
Adaptation changes the memory alone, in acting.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jsonargparse.typing import (
    ClosedUnitInterval,
    NonNegativeFloat,
    OpenUnitInterval,
    PositiveFloat,
    PositiveInt,
)
from torch import Tensor

from metarl.compute.task_map import TaskMap
from metarl.errors import ConfigError
from metarl.math.gaussian import DiagonalGaussian
from metarl.math.parameters import Parameters, flatten
from metarl.math.returns import masked_mean, without_padding
from metarl.meta_learners.learner import LearnerState, MetaLearner, Update
from metarl.meta_learners.outer.clipped import (
    AdamState,
    adam_of,
    adam_start,
    adam_state,
    check_learning_rate,
)
from metarl.objectives.trials import Targets, TrialLoss, trial_loss, trial_targets
from metarl.policies.heads import tanh_layers, tanh_parameters
from metarl.policies.policy import AnyPolicy, TaskState
from metarl.policies.recurrent import GruPolicy
from metarl.rollouts.rollout import Batch, MetaBatch
from metarl.rollouts.trials import Trials, join_trials

_VALUE = "value"


@dataclass(frozen=True)
class Rl2Config:
    """RL^2 by PPO over whole trials; a trial is the task's `sampling.episodes` episodes.

    Args:
        learning_rate: of Adam.
        epochs: passes over the trials of an iteration.
        minibatches: of whole trials in a pass; fewer where there are fewer tasks.
        clip: ratios beyond 1 +- clip gain nothing.
        discount: gamma, along the trial.
        gae_lambda: lambda, along the trial.
        value_sizes: units of the value's hidden layers, tanh.
        value_weight: c_v, of the value's loss.
        entropy_weight: c_e, of the entropy.
        max_gradient_norm: longer gradients are cut to this length; 0 for no bound.
    """

    learning_rate: PositiveFloat = 5e-4
    epochs: PositiveInt = 4
    minibatches: PositiveInt = 4
    clip: OpenUnitInterval = 0.1
    discount: ClosedUnitInterval = 0.97
    gae_lambda: ClosedUnitInterval = 0.9
    value_sizes: tuple[PositiveInt, ...] = (128,)
    value_weight: NonNegativeFloat = 0.5
    entropy_weight: NonNegativeFloat = 0.005
    max_gradient_norm: NonNegativeFloat = 0.5


def rl2(policy: AnyPolicy, config: Rl2Config, task_map: TaskMap) -> MetaLearner:
    """The meta-learner that climbs J over whole trials.

    Raises:
        ConfigError: a policy of another kind than `gru`, or a learning rate that Adam cannot take.
    """
    if not isinstance(policy, GruPolicy):
        raise ConfigError(f"policy.name: rl2 expected gru, got {type(policy).__name__}")
    check_learning_rate("meta_learner.learning_rate", float(config.learning_rate))

    def initial_parameters(generator: torch.Generator) -> Parameters:
        own = policy.initial_parameters(generator)
        sizes = tuple(map(int, config.value_sizes))
        value = tanh_parameters(_VALUE, policy.feature_size, sizes, generator)
        last = sizes[-1] if sizes else policy.feature_size
        return {**own, **value, "value.weight": torch.zeros(1, last), "value.bias": torch.zeros(1)}

    def start(parameters: Parameters) -> LearnerState:
        return LearnerState(parameters, adam_start(parameters))

    def adapt(state: TaskState, episodes: Batch) -> TaskState:
        return state._replace(adaptations=state.adaptations + 1)

    def update(state: LearnerState, batch: MetaBatch) -> Update:
        return _update(policy, config, state, join_trials(batch.query))

    return MetaLearner(policy, 0, initial_parameters, start, adapt, update, reads_advantages=False)


def unroll(
    policy: GruPolicy, config: Rl2Config, theta: Parameters, trials: Trials
) -> tuple[DiagonalGaussian, Tensor]:
    """The distribution of every step's action, [task, time, action], and the values [task, time]."""
    observations = without_padding(trials.observations, trials.valid)
    actions = without_padding(trials.actions, trials.valid)
    rewards = torch.where(trials.valid, trials.rewards, 0.0)
    outcomes = policy.outcomes(actions, rewards, trials.last)
    before = torch.cat((torch.zeros_like(outcomes[:, :1]), outcomes[:, :-1]), dim=1)
    hidden = policy.unroll(theta, torch.cat((observations, before), dim=-1))
    features = policy.features(theta, hidden, observations)
    seen = tanh_layers(theta, _VALUE, len(config.value_sizes), features)
    values = torch.nn.functional.linear(seen, theta["value.weight"], theta["value.bias"]).squeeze(-1)
    return policy.distribution(theta, features), values


def _update(policy: GruPolicy, config: Rl2Config, state: LearnerState, trials: Trials) -> Update:
    with torch.no_grad():
        behaviour, values = unroll(policy, config, state.parameters, trials)
        targets = trial_targets(trials, values, float(config.discount), float(config.gae_lambda))
    leaves = {name: value.clone().requires_grad_() for name, value in state.parameters.items()}
    adam = adam_of(leaves, state.optimiser, float(config.learning_rate))
    pieces = torch.arange(len(trials.valid), device=values.device).chunk(int(config.minibatches))
    for _ in range(int(config.epochs)):
        for piece in pieces:
            chosen, aimed = Trials(*(x[piece] for x in trials)), Targets(*(x[piece] for x in targets))
            found = trial_loss(chosen, aimed, *unroll(policy, config, leaves, chosen), float(config.clip))
            norm = _step(adam, leaves, _total(config, found), float(config.max_gradient_norm))
    parameters = {name: leaf.detach() for name, leaf in leaves.items()}
    with torch.no_grad():
        after, _ = unroll(policy, config, parameters, trials)
        kl = masked_mean(behaviour.kl_divergence(after), trials.valid).item()
    explained = 1 - (
        masked_mean((targets.returns - values).square(), trials.valid) / _variance(targets, trials)
    )
    metrics = {
        "kl": kl,
        "last_gradient_norm": norm,
        "value_explained": explained.item(),
        "value_loss": found.value_loss.item(),
        "surrogate_last_minibatch": found.surrogate.item(),
    }
    if not torch.isfinite(flatten(parameters)).all():
        return Update(
            state, {**metrics, "kl": 0.0, "accepted": 0.0}, "not finite: try a smaller learning_rate"
        )
    return Update(LearnerState(parameters, _state(adam, leaves)), {**metrics, "accepted": 1.0})


def _total(config: Rl2Config, loss: TrialLoss) -> Tensor:
    gain = loss.surrogate + float(config.entropy_weight) * loss.entropy
    return float(config.value_weight) * loss.value_loss - gain


def _step(adam: torch.optim.Adam, leaves: Parameters, loss: Tensor, longest: float) -> float:
    """One step down the loss; the gradient's length before it is cut."""
    adam.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    norm = torch.nn.utils.clip_grad_norm_([*leaves.values()], longest or float("inf"))
    adam.step()
    return norm.item()


def _state(adam: torch.optim.Adam, leaves: Parameters) -> AdamState:
    found = adam_state(adam, leaves)
    return AdamState(*({name: value.detach() for name, value in part.items()} for part in found))


def _variance(targets: Targets, trials: Trials) -> Tensor:
    mean = masked_mean(targets.returns, trials.valid)
    return masked_mean((targets.returns - mean).square(), trials.valid).clamp(min=1e-12)
