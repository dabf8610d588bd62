"""What an iteration tells of its inner steps: nothing of none, and no angle without a direction."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from metarl.adaptation.meta_batch import collect_meta_batch
from metarl.adaptation.walk import Walk
from metarl.compute.task_map import TaskMap, select_task
from metarl.meta_learners.learner import LearnerState
from metarl.rollouts.advantages import AdvantageConfig
from tests.support.references import inner_loss
from tests.support.tiny import tiny_learner, tiny_state
from tests.support.walks import GOALS, SETTINGS, Kept

TASKS, KEY = {"goal": np.array(GOALS)}, (1, 2)


class Unpaid(Kept):
    """Some tasks give no reward, so that nothing tells them where to go."""

    def __init__(self, policy, tasks):
        super().__init__(policy)
        self._unpaid = tasks

    def collect(self, *arguments, **options):
        rollout = super().collect(*arguments, **options)
        rewards = rollout.rewards.clone()
        rewards[self._unpaid] = 0.0
        return replace(rollout, rewards=rewards)


def collected_by(name, steps=2, unpaid=()):
    """A learner's meta-batch of three tasks, what it tells, and what the update by it tells."""
    learner, _ = tiny_learner(name, steps)
    walk = Walk(Unpaid(learner.policy, list(unpaid)), learner, AdvantageConfig(**SETTINGS), TaskMap(2, 2))
    theta = tiny_state(learner)
    found = collect_meta_batch(walk, theta, TASKS, KEY)
    return found, learner.update(LearnerState(theta, learner.start(theta).optimiser), found.batch).metrics


@pytest.mark.parametrize(("name", "steps"), [("multi_task", 0), ("reptile", 1)])
def test_learners_without_inner_steps_tell_nothing_of_them(name, steps):
    """Not that they move policies by a KL of 0, either."""
    metrics = collected_by(name, steps)[0].metrics
    assert "policy/std" in metrics
    assert not [column for column in metrics if column.startswith("inner/")]


@pytest.mark.parametrize("unpaid", [(0, 1, 2), (0, 1)])
def test_cosines_between_tasks_are_of_two_gradients_at_least(unpaid):
    found, update = collected_by("maml", unpaid=unpaid)
    assert "inner/task_cosine" not in found.metrics
    assert "task_cosine" not in update
    assert "inner/support_query_cosine" not in found.metrics  # of tasks 0 and 1
    assert (found.metrics["inner/step_norm"] > 0) == (len(unpaid) < 3)


def test_lengths_of_inner_gradients_are_means_over_tasks_and_steps():
    """By autograd of the reference's loss, at the parameters that each step begins with."""
    learner, config = tiny_learner("maml", 2)
    sampler, theta = Kept(learner.policy), tiny_state(learner)
    walk = Walk(sampler, learner, AdvantageConfig(**SETTINGS), TaskMap(2, 2))
    metrics = collect_meta_batch(walk, theta, TASKS, KEY).metrics
    state, norms = walk.start(theta, 3), []
    for visit, after in walk.walk(state, TASKS, KEY, 2):
        for i in range(3):
            at = {n: value[i].clone().requires_grad_() for n, value in state.parameters.items()}
            loss = inner_loss(at, select_task(visit.batch, i), config.inner_objective)
            slopes = torch.autograd.grad(loss, list(at.values()))
            norms.append(torch.cat([slope.flatten() for slope in slopes]).norm().item())
        state = after
    assert metrics["inner/gradient_norm"] == pytest.approx(np.mean(norms), rel=1e-4)


def test_steps_per_episode_are_those_after_adaptation():
    found, _ = collected_by("maml")
    played = [int(episode.sum()) for task in found.batch.query.valid for episode in task]
    assert found.metrics["rollout/steps_per_episode"] == pytest.approx(np.mean(played))


def test_a_task_without_a_gradient_has_no_part_in_the_mean_cosine():
    """The mean over inner steps of the one angle that there is, of tasks 0 and 2."""
    learner, _ = tiny_learner("maml", 2)
    sampler = Unpaid(learner.policy, [1])
    walk, theta = Walk(sampler, learner, AdvantageConfig(**SETTINGS), TaskMap(2, 2)), tiny_state(learner)
    metrics = collect_meta_batch(walk, theta, TASKS, KEY).metrics
    state, angles = walk.start(theta, 3), []
    for _, after in walk.walk(state, TASKS, KEY, 2):
        way = [
            torch.cat([(after.parameters[n][i] - state.parameters[n][i]).flatten() for n in theta])
            for i in (0, 2)
        ]
        angles.append(torch.cosine_similarity(*way, dim=0).item())
        state = after
    assert metrics["inner/task_cosine"] == pytest.approx(np.mean(angles), rel=1e-5)
