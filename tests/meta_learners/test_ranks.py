"""Two ranks with half of the tasks each learn what one learns with all of them."""

import numpy as np
import pytest
import torch
from metarl_envs.foreign.foreign_vector_env import ForeignVectorEnv

from metarl.adaptation.meta_batch import collect_meta_batch
from metarl.adaptation.walk import Walk
from metarl.compute.reduction import Reduction
from metarl.compute.task_map import TaskMap
from metarl.meta_learners.outer.trust_region import TrustRegionConfig
from metarl.meta_learners.registry import META_LEARNERS
from metarl.rollouts.advantages import AdvantageConfig
from metarl.rollouts.sampler import RolloutSampler
from tests.support.ranks import Exchange
from tests.support.tiny import BY_GRADIENT, by_adam, tiny_learner, tiny_state
from tests.support.tiny_envs import Echo

GOALS, EPISODES, HORIZON, KEY = [-1.0, 0.5, 1.5, -0.4], 4, 5, (3, 1, 4)
BY_TRUST_REGION = [n for n, r in META_LEARNERS.items() if getattr(r.config(), "outer", None) == "trpo"]


def updated(name, tasks, first_task, reduction, **settings):
    """One iteration with some of the tasks."""
    learner, _ = tiny_learner(name, 2, task_map=TaskMap(2, 1, reduction), **settings)
    theta = tiny_state(learner)
    envs = ForeignVectorEnv(Echo, len(tasks) * EPISODES, "sync")
    sampler = RolloutSampler(
        envs,
        learner.policy,
        episodes_per_task=EPISODES,
        horizon=HORIZON,
        device=torch.device("cpu"),
        first_task=first_task,
    )
    walk = Walk(sampler, learner, AdvantageConfig(), learner_map(reduction))
    batch = collect_meta_batch(walk, theta, {"goal": np.array(tasks)}, KEY).batch
    return learner.update(learner.start(theta), batch)


def learner_map(reduction):
    return TaskMap(2, 1, reduction)


@pytest.mark.parametrize(
    ("name", "outer"),
    [*((name, "trpo") for name in BY_TRUST_REGION), *((name, "adam") for name in BY_GRADIENT)],
)
def test_two_halves_learn_what_the_whole_learns(name, outer):
    settings = {} if outer == "trpo" else by_adam(name, 1e-3, epochs=2)
    whole = updated(name, GOALS, 0, Reduction(), **settings)
    assert whole.rejection is None
    exchange = Exchange((2, 2))

    def half(reduction, rank):
        return updated(name, GOALS[2 * rank : 2 * rank + 2], 2 * rank, reduction, **settings)

    for update in exchange.both(half):
        for n, value in whole.state.parameters.items():
            torch.testing.assert_close(update.state.parameters[n], value, rtol=1e-7, atol=1e-10)
        assert update.metrics["kl"] == pytest.approx(whole.metrics["kl"], rel=1e-6)
    alone = updated(name, GOALS[:2], 0, Reduction(), **settings).state.parameters
    assert any(not torch.allclose(alone[n], value, rtol=1e-4) for n, value in whole.state.parameters.items())


@pytest.mark.parametrize("drawn", [1, 3])
@pytest.mark.parametrize("name", ["maml", "anil", "imaml"])
def test_two_halves_draw_the_curvatures_tasks_that_the_whole_draws(name, drawn):
    """Of one that is drawn in all, a half has none."""
    settings = {"trust_region": TrustRegionConfig(curvature_tasks=drawn, cg_damping=0.1)}
    whole = updated(name, GOALS, 0, Reduction(), **settings)
    assert whole.rejection is None

    def half(reduction, rank):
        return updated(name, GOALS[2 * rank : 2 * rank + 2], 2 * rank, reduction, **settings)

    for update in Exchange((2, 2)).both(half):
        for n, value in whole.state.parameters.items():
            torch.testing.assert_close(update.state.parameters[n], value, rtol=1e-7, atol=1e-10)
    of_all = updated(
        name, GOALS, 0, Reduction(), trust_region=TrustRegionConfig(cg_damping=0.1)
    ).state.parameters
    assert any(not torch.allclose(of_all[n], value, rtol=1e-4) for n, value in whole.state.parameters.items())
