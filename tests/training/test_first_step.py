"""The inner step size that is found before training: its first step has the KL that was asked for."""

import csv
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from metarl.adaptation.first_step import factor_of_kl, find_first_step
from metarl.adaptation.walk import Walk
from metarl.compute.task_map import TaskMap, select_task
from metarl.errors import ConfigError
from metarl.experiment.config import read_config
from metarl.meta_learners.inner.gradient_rules import LOG_STEP_SIZE
from metarl.rollouts.advantages import AdvantageConfig
from tests.conftest import SMALL
from tests.support.tiny import tiny_learner, tiny_state
from tests.support.walks import GOALS, SETTINGS, Kept

TASKS, KEY = {"goal": np.array(GOALS)}, (1, 2)
FOUND = ("--meta_learner.learn_step_size", "true", "--meta_learner.first_step_kl", "0.2")


@pytest.mark.parametrize("kl", [1e-3, 0.3, 40.0])
@pytest.mark.parametrize("curvature", [1e-6, 2.0, 1e5])
def test_a_quadratics_factor_is_the_closed_forms(kl, curvature):
    found = factor_of_kl(lambda factor: curvature * factor**2, kl)
    assert math.log(found) == pytest.approx(math.log(math.sqrt(kl / curvature)), abs=2e-3)


def test_what_is_not_finite_is_too_far():
    assert factor_of_kl(lambda factor: factor if factor < 3 else math.nan, 10.0) == pytest.approx(3, rel=2e-3)
    assert factor_of_kl(lambda factor: factor if factor < 3 else math.inf, 10.0) == pytest.approx(3, rel=2e-3)


@pytest.mark.parametrize("far", [0.0, 1e30, math.nan])
def test_without_such_a_step_the_size_stays(far):
    assert factor_of_kl(lambda factor: far, 0.1) == 1.0


class Unpaid(Kept):
    """Pays nothing in some tasks."""

    tasks: tuple[int, ...] = ()

    def collect(self, *arguments, **options):
        rollout = super().collect(*arguments, **options)
        rewards = rollout.rewards.clone()
        rewards[list(self.tasks)] = 0.0
        return replace(rollout, rewards=rewards)


@pytest.mark.parametrize("unpaid", [(), (1,), (0, 2)], ids=str)
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kl", [0.01, 0.5])
def test_a_step_of_the_size_found_has_the_kl(kl, threads, unpaid):
    """By PyTorch's own KL of normal distributions, an episode at a time; of tasks that are paid."""
    learner, _ = tiny_learner("maml", learn_step_size=True)
    sampler = Unpaid(learner.policy)
    sampler.tasks = unpaid
    walk = Walk(sampler, learner, AdvantageConfig(**SETTINGS), TaskMap(2, threads))
    theta = tiny_state(learner)
    found = find_first_step(walk, theta, TASKS, KEY, kl)
    longer = {**theta, LOG_STEP_SIZE: theta[LOG_STEP_SIZE] + math.log(found.factor)}
    visit = walk.visit(walk.start(longer, len(GOALS)), TASKS, KEY)
    adapted = walk.adapt(visit.state, visit.batch).parameters
    divergences = []
    for task in sorted(set(range(len(GOALS))) - set(unpaid)):
        parameters = select_task(adapted, task)
        for episode in range(visit.batch.valid.shape[1]):
            valid = visit.batch.valid[task, episode]
            observations = visit.batch.observations[task, episode][valid]
            before, after = (
                torch.distributions.Normal(one.mean, one.std)
                for one in (
                    learner.policy(p, observations)
                    for p in (select_task(visit.state.parameters, task), parameters)
                )
            )
            divergences += torch.distributions.kl_divergence(before, after).sum(-1).tolist()
    assert np.mean(divergences) == pytest.approx(kl, rel=5e-3)
    assert found.environment_steps == int(visit.batch.valid.sum())


def test_where_no_task_pays_the_size_stays():
    learner, _ = tiny_learner("maml", learn_step_size=True)
    sampler = Unpaid(learner.policy)
    sampler.tasks = (0, 1, 2)
    walk = Walk(sampler, learner, AdvantageConfig(**SETTINGS), TaskMap(2, 1))
    assert find_first_step(walk, tiny_state(learner), TASKS, KEY, 0.1).factor == 1.0


def rows(folder):
    with (folder / "progress.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_training_starts_there_and_counts_its_episodes(train_small, tmp_path):
    train_small("--training.iterations", "1", *FOUND)
    (row,) = rows(tmp_path / "run")
    assert 0.1 < float(row["inner/kl"]) < 0.4
    steps = SMALL["sampling"]["tasks"] * SMALL["sampling"]["episodes"] * SMALL["environment"]["horizon"]
    assert 2 * steps < int(float(row["rollout/environment_steps"])) <= 3 * steps
    train_small("--training.iterations", "1", *FOUND[:2], "--run_dir", str(tmp_path / "other"))
    (other,) = rows(tmp_path / "other")
    assert float(other["inner/kl"]) < 0.1


def test_a_run_that_goes_on_keeps_what_was_found(train_small, tmp_path):
    whole = train_small("--training.iterations", "3", *FOUND, "--run_dir", str(tmp_path / "whole"))
    train_small("--training.iterations", "1", *FOUND)
    again = train_small("--training.iterations", "3", *FOUND, resume=True)
    for name, values in whole.state.parameters.items():
        assert torch.equal(values, again.state.parameters[name])
    assert whole.environment_steps == again.environment_steps


def test_a_size_that_is_not_learned_is_not_found(small_config_file):
    with pytest.raises(ConfigError, match=r"^meta_learner\.first_step_kl: expected none with"):
        read_config(small_config_file, FOUND[2:])
