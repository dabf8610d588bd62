"""Recurrent SAC (Ni et al. 2022): soft actor-critic of policies that remember, on whole trials, off-policy.

acting   : h_t = GRU(h_{t-1}, [o_t, a_{t-1}, r_{t-1}, end_{t-1}]) over a trial; a_t ~ pi(. | h_t, o_t)
learning : trials are drawn from all that were ever done, and unrolled from their start
The losses are those of `outer/recurrent_soft.py`. Adaptation changes the memory alone, in acting.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jsonargparse.typing import PositiveFloat, PositiveInt
from torch import Tensor
from torch.utils._pytree import tree_map

from metarl.compute.task_map import TaskMap
from metarl.math.parameters import Parameters, kind
from metarl.meta_learners.learner import LearnerState, MetaLearner, Update, remembered
from metarl.meta_learners.outer.recurrent_soft import (
    GROUPS,
    Losses,
    RecurrentDescent,
    critic_parameters,
    distribution,
    seen_in,
)
from metarl.meta_learners.outer.replaying import ReplayOptimiser, dealt, finished, remember
from metarl.meta_learners.outer.soft_steps import SoftConfig, soft_start
from metarl.meta_learners.outer.trial_draws import ReplayedTrials, TrialDraws, nothing_done, rows_of
from metarl.policies.squashed_gru import SquashedGruPolicy
from metarl.rollouts.rollout import Batch, MetaBatch, seeds_of


@dataclass(frozen=True)
class RecurrentSacConfig(SoftConfig):
    """Recurrent SAC: soft actor-critic whose networks remember a trial.

    Args:
        replay_ratio: gradient steps per environment step.
        meta_batch: trials of a gradient step.
        critic_hidden_size: units that remember, of the critics.
    """

    replay_ratio: PositiveFloat = 0.005
    meta_batch: PositiveInt = 16
    critic_hidden_size: PositiveInt = 128


def recurrent_sac(policy: SquashedGruPolicy, config: RecurrentSacConfig, task_map: TaskMap) -> MetaLearner:
    """The meta-learner that replays whole trials."""

    def initial_parameters(generator: torch.Generator) -> Parameters:
        own = policy.initial_parameters(generator)
        return {**own, **critic_parameters(policy, config, int(config.critic_hidden_size), generator)}

    def start(parameters: Parameters) -> LearnerState:
        count = torch.zeros((), dtype=torch.int64)
        nothing = nothing_done(policy, task_map.reduction)
        return LearnerState(parameters, ReplayOptimiser(soft_start(parameters, GROUPS), count), nothing)

    def update(state: LearnerState, batch: MetaBatch) -> Update:
        return _update(policy, config, state, batch.query, task_map)

    return MetaLearner(policy, 0, initial_parameters, start, remembered, update)


def _update(
    policy: SquashedGruPolicy,
    config: RecurrentSacConfig,
    state: LearnerState,
    batch: Batch,
    task_map: TaskMap,
) -> Update:
    """Every rank remembers its share of the trials, and descends on its share of those that a step draws."""
    optimiser: ReplayOptimiser = state.optimiser
    iteration, seeds = int(optimiser.iterations), task_map.all_tasks(seeds_of(batch))
    replay, number = remember(config, state, rows_of(batch, iteration, task_map))
    descent = RecurrentDescent(policy, config, state.parameters, optimiser.soft, task_map, iteration)
    generator = torch.Generator().manual_seed(int(seeds[0]))
    share = dealt(int(config.meta_batch), len(seeds), task_map)
    draws = TrialDraws(replay.own, task_map) if number else None
    number = number if draws and draws.trials else 0
    for _ in range(number):
        assert draws is not None
        trials, noise = _drawn(int(config.meta_batch), draws, generator, kind(state.parameters))
        own = share[: len(noise)]
        trials, noise = tree_map(lambda values, chosen=own: values[chosen], (trials, noise))
        losses = descent.step(trials, noise)
    parameters = descent.steps.parameters
    metrics = {"learning_rate": descent.steps.learning_rate}
    if number:
        moved = _moved(policy, state.parameters, parameters, trials)
        metrics |= _metrics(*task_map.weighted_mean((losses, moved), trials.valid.sum()))
    after = LearnerState(parameters, ReplayOptimiser(descent.steps.state, optimiser.iterations + 1), replay)
    return finished(state, after, number, metrics)


def _drawn(
    number: int, draws: TrialDraws, generator: torch.Generator, of: tuple[torch.dtype, torch.device]
) -> tuple[ReplayedTrials, Tensor]:
    """Trials and noise for the actions at all their moments, the same on all ranks."""
    dtype, device = of
    trials = draws.draw(number, generator)
    drawn, time, actions = trials.steps.actions.shape
    noise = torch.randn(drawn, time + 1, actions, generator=generator)

    def converted(value: Tensor) -> Tensor:
        return value.to(device, dtype if value.is_floating_point() else None)

    found: tuple[ReplayedTrials, Tensor] = tree_map(converted, (trials, noise))
    return found


def _moved(
    policy: SquashedGruPolicy, before: Parameters, after: Parameters, trials: ReplayedTrials
) -> Tensor:
    """How far the policy moved: mean KL(before || after) over the trials' steps, nats."""
    with torch.no_grad():
        seen = seen_in(policy, trials)
        one, other = (distribution(policy, theta, seen) for theta in (before, after))
        return one.kl_divergence(other)[:, :-1][trials.valid].mean()


def _metrics(losses: Losses, moved: Tensor) -> dict[str, float]:
    """Of the last gradient step, and of all of them."""
    return {
        "kl": moved.item(),
        "critic_loss": losses.critic.item(),
        "actor_loss": losses.actor.item(),
        "critic_value": losses.values.item(),
    }
