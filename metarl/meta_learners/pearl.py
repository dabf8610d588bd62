"""PEARL (Rakelly et al. 2019): soft actor-critic on a latent that is inferred from context, off-policy.

q(z | c) = prod_n N(mu(c_n), sigma^2(c_n)),  c_n = (o, a, r) of a step
acting   : z anew at every episode, from N(0, I) in the first ones, then from q of all so far; pi(a | o, z)
learning : contexts from the latest trial of a task, steps from all that was ever done in it
The losses are those of `outer/soft_actor_critic.py`. Adaptation changes the posterior alone, in acting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jsonargparse.typing import PositiveInt
from torch import Tensor
from torch.utils._pytree import tree_map

from metarl.compute.task_map import TaskMap
from metarl.math.gaussian import DiagonalGaussian
from metarl.math.parameters import Parameters, kind
from metarl.meta_learners.learner import LearnerState, MetaLearner, Update, remembered
from metarl.meta_learners.outer.replay_draws import ReplayDraws, nothing_done, rows_of
from metarl.meta_learners.outer.replaying import ReplayOptimiser, dealt, finished, remember
from metarl.meta_learners.outer.soft_actor_critic import (
    GROUPS,
    LatentSoftConfig,
    Losses,
    Noise,
    SoftDescent,
    critic_parameters,
    posterior_of,
    with_latent,
)
from metarl.meta_learners.outer.soft_steps import soft_start
from metarl.meta_learners.outer.trial_rows import Steps
from metarl.policies.posterior import PosteriorPolicy
from metarl.rollouts.rollout import Batch, MetaBatch, seeds_of
from metarl.rollouts.trials import Trials


@dataclass(frozen=True)
class PearlConfig(LatentSoftConfig):
    """PEARL: soft actor-critic whose networks see a latent, with a posterior of it from context.

    Args:
        meta_batch: tasks of a gradient step.
        batch_size: steps of each of them that actor and critics learn from.
        context_steps: steps of each of them that the posterior is of.
        exploration_contexts: whether they are of the exploration episodes of a task's latest trial alone;
            otherwise of all its episodes.
    """

    meta_batch: PositiveInt = 8
    batch_size: PositiveInt = 256
    context_steps: PositiveInt = 100
    exploration_contexts: bool = True


class Drawn(NamedTuple):
    """What a gradient step learns from; `context` is what factors see, [task, step, in]."""

    context: Tensor
    steps: Steps
    noise: Noise

    def of(self, tasks: Tensor) -> Drawn:
        """That of some of the tasks, [task] bool; fewer tasks may have been drawn than are asked about."""
        chosen: Drawn = tree_map(lambda values: values[tasks[: len(values)]], self)
        return chosen


def pearl(policy: PosteriorPolicy, config: PearlConfig, task_map: TaskMap) -> MetaLearner:
    """The meta-learner that replays."""

    def initial_parameters(generator: torch.Generator) -> Parameters:
        own = policy.initial_parameters(generator)
        return {**own, **critic_parameters(policy, config, generator)}

    def start(parameters: Parameters) -> LearnerState:
        count = torch.zeros((), dtype=torch.int64)
        nothing = nothing_done(policy, task_map.reduction)
        return LearnerState(parameters, ReplayOptimiser(soft_start(parameters, GROUPS), count), nothing)

    def update(state: LearnerState, batch: MetaBatch) -> Update:
        return _update(policy, config, state, batch.query, task_map)

    return MetaLearner(policy, 0, initial_parameters, start, remembered, update)


def posteriors_of(policy: PosteriorPolicy, theta: Parameters, trials: Trials) -> DiagonalGaussian:
    """q(z | c) after 0, 1, ..., T steps of every trial; [trial, T + 1, z], N(0, I) first.

    What stands beyond a trial's end means nothing.
    """
    seen = policy.encoded(trials.observations, trials.actions, trials.rewards, trials.next_observations)
    return policy.beliefs(theta, seen)


def _update(
    policy: PosteriorPolicy, config: PearlConfig, state: LearnerState, batch: Batch, task_map: TaskMap
) -> Update:
    """Every rank remembers its tasks' steps, and descends on its share of those that a step draws."""
    optimiser: ReplayOptimiser = state.optimiser
    iteration, seeds = int(optimiser.iterations), task_map.all_tasks(seeds_of(batch))
    replay, number = remember(config, state, rows_of(batch, policy, iteration, task_map))
    descent = SoftDescent(policy, config, state.parameters, optimiser.soft, task_map, iteration)
    generator = torch.Generator().manual_seed(int(seeds[0]))
    share = dealt(int(config.meta_batch), len(seeds), task_map)
    draws = ReplayDraws(replay.own, config.exploration_contexts, task_map) if number else None
    number = number if draws and draws.tasks else 0
    for _ in range(number):
        assert draws is not None
        drawn = _drawn(policy, config, draws, generator, kind(state.parameters)).of(share)
        losses = descent.step(*drawn)
    parameters = descent.steps.parameters
    metrics = {"learning_rate": descent.steps.learning_rate}
    if number:
        moved = _moved(policy, state.parameters, parameters, drawn)
        weight = torch.tensor(len(drawn.context), device=moved.device)
        metrics |= _metrics(*task_map.weighted_mean((losses, moved), weight))
    after = LearnerState(parameters, ReplayOptimiser(descent.steps.state, optimiser.iterations + 1), replay)
    return finished(state, after, number, metrics)


def _drawn(
    policy: PosteriorPolicy,
    config: PearlConfig,
    draws: ReplayDraws,
    generator: torch.Generator,
    of: tuple[torch.dtype, torch.device],
) -> Drawn:
    """A context and other steps of drawn tasks, the same on all ranks."""
    dtype, device = of
    sizes = int(config.meta_batch), int(config.context_steps), int(config.batch_size)
    seen, steps = (_converted(rows, dtype, device) for rows in draws.draw(*sizes, generator))
    latent, action = (len(steps.rewards), int(policy.latent_size)), steps.actions.shape
    noise = (torch.randn(shape, generator=generator) for shape in (latent, action, action))
    context = policy.encoded(seen.observations, seen.actions, seen.rewards, seen.next_observations)
    return Drawn(context, steps, Noise(*(values.to(device, dtype) for values in noise)))


def _converted(rows: Steps, dtype: torch.dtype, device: torch.device) -> Steps:
    return Steps(*(value.to(device, dtype) for value in rows))._replace(terminated=rows.terminated.to(device))


def _moved(policy: PosteriorPolicy, before: Parameters, after: Parameters, drawn: Drawn) -> Tensor:
    """How far the policies moved that act on the posteriors' means: mean KL(before || after), nats."""
    with torch.no_grad():
        one, other = (
            policy.distribution(
                theta,
                with_latent(drawn.steps.observations, posterior_of(policy, theta, drawn.context).mean),
            )
            for theta in (before, after)
        )
        return one.kl_divergence(other).mean()


def _metrics(losses: Losses, moved: Tensor) -> dict[str, float]:
    """Of the last gradient step, and of all of them."""
    return {
        "kl": moved.item(),
        "critic_loss": losses.critic.item(),
        "actor_loss": losses.actor.item(),
        "critic_value": losses.values.item(),
        "posterior_kl": losses.kl.item(),
        "posterior_std": losses.posterior_std.item(),
    }
