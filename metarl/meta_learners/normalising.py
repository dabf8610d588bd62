"""A meta-learner on normalised observations: the moments move between iterations, the learner the rest."""

from __future__ import annotations

from dataclasses import replace

import torch

from metarl.compute.task_map import TaskMap
from metarl.math.moments import Moments, joined_moments, moments_of
from metarl.math.parameters import Parameters
from metarl.meta_learners.learner import LearnerState, MetaLearner, Update
from metarl.objectives.policy_gradient import memoryless
from metarl.policies.normalised import (
    NormalisedPolicy,
    as_parameters,
    moments_in,
    no_moments,
    normalised_by,
    without_moments,
)
from metarl.policies.policy import TaskState
from metarl.rollouts.rollout import Batch, MetaBatch


def normalising(learner: MetaLearner, task_map: TaskMap) -> MetaLearner:
    """The learner whose policy sees observations normalised by the moments of all that training sampled.

    An iteration acts, adapts and updates by the moments of the iterations before it; its own episodes, of
    support and query, join them then, whether the update was accepted or not. Batches keep the observations
    as they were sampled; the learner is shown normalised ones, and parameters without the moments.

    Raises:
        ConfigError: a learner whose policy has memory.
    """
    acting = NormalisedPolicy(memoryless(learner.policy))

    def initial_parameters(generator: torch.Generator) -> Parameters:
        return {**learner.initial_parameters(generator), **no_moments(acting.observation_size)}

    def start(parameters: Parameters) -> LearnerState:
        return replace(learner.start(without_moments(parameters)), parameters=parameters)

    def adapt(state: TaskState, episodes: Batch) -> TaskState:
        own = without_moments(state.parameters)
        after = learner.adapt(state._replace(parameters=own), _seen(episodes, state.parameters))
        return after._replace(parameters={**state.parameters, **after.parameters})

    def update(state: LearnerState, batch: MetaBatch) -> Update:
        theta = state.parameters
        support = tuple(_seen(one, theta) for one in batch.support)
        seen = MetaBatch(support, _seen(batch.query, theta))
        found = learner.update(replace(state, parameters=without_moments(theta)), seen)
        moments = joined_moments(_together(moments_in(theta), batch, task_map))
        like = next(iter(theta.values()))
        parameters = {**found.state.parameters, **as_parameters(moments, like)}
        return found._replace(state=replace(found.state, parameters=parameters))

    return replace(
        learner,
        policy=acting,
        initial_parameters=initial_parameters,
        start=start,
        adapt=adapt,
        update=update,
    )


def _seen(episodes: Batch, parameters: Parameters) -> Batch:
    """The episodes with the observations that the policy acted on."""
    observations, last = (
        normalised_by(parameters, values) for values in (episodes.observations, episodes.final_observations)
    )
    return episodes._replace(observations=observations, final_observations=last)


def _together(before: Moments, batch: MetaBatch, task_map: TaskMap) -> Moments:
    """The moments so far, and those of every task's observations on all ranks, [part, ...]."""
    parts = [Moments(*(value.unsqueeze(0).double() for value in before))]
    with torch.no_grad():
        for one in (*batch.support, batch.query):
            found = task_map(moments_of, one.observations, one.valid, tasks=batch.tasks)
            parts.append(Moments(*map(task_map.reduction.gather, found)))
    return Moments(*(torch.cat(values) for values in zip(*parts, strict=True)))
