"""Sample, adapt, sample again: each task with its own policy and baseline, each phase with fresh noise."""

import time
from functools import cache
from itertools import combinations

import numpy as np
import pytest
import torch

from metarl.adaptation.evaluation import evaluate_adaptation
from metarl.adaptation.meta_batch import collect_meta_batch
from metarl.adaptation.walk import Walk
from metarl.compute.task_map import TaskMap, select_task
from metarl.experiment.build import build_experiment
from metarl.rollouts.advantages import AdvantageConfig
from metarl.runs.description import describe
from metarl.runs.meta_policy import MetaPolicy
from tests.support.references import network
from tests.support.slow_advantages import episodes_of, slow_advantages
from tests.support.tiny import tiny_learner, tiny_state
from tests.support.walks import (
    GOALS,
    HORIZON,
    SETTINGS,
    Diary,
    Kept,
    assert_fresh,
    assert_seen,
    assert_starts_differ,
    noise_of,
    retraced,
    slow_batch,
)

KEY = (3, 1, 4)
TASKS = {"goal": np.array(GOALS)}


def setup(steps=2, seed=0):
    learner, config = tiny_learner("maml", steps, inner_step_size=0.7)
    return learner, config, tiny_state(learner, seed)


@cache
def walk(steps=2, seed=0, key=KEY):
    """A meta-batch, its rollouts, the parameters retraced [task][step], and the noise of every rollout."""
    learner, config, theta = setup(steps, seed)
    sampler, advantages = Kept(learner.policy), AdvantageConfig(**SETTINGS)
    collected = collect_meta_batch(Walk(sampler, learner, advantages, TaskMap(2, 2)), theta, TASKS, key)
    rollouts = sampler.rollouts
    paths = retraced(theta, rollouts[:-1], config)
    noises = [noise_of(rollout, [path[k] for path in paths]) for k, rollout in enumerate(rollouts)]
    return collected, rollouts, paths, noises


@cache
def evaluation(seed=0, key=KEY, steps=2, deterministic=False):
    """A curve and its adapted parameters, the drawn and the measured rollouts, and as `walk`."""
    learner, config, theta = setup(2, seed)
    sampler, advantages = Kept(learner.policy), AdvantageConfig(**SETTINGS)
    parts = Walk(sampler, learner, advantages, TaskMap(2, 2))
    found = evaluate_adaptation(parts, theta, TASKS, steps=steps, key=key, deterministic=deterministic)
    drawn = measured = sampler.rollouts
    if deterministic:  # after the last step nothing is drawn any more
        drawn, measured = drawn[:-1:2], [*drawn[1:-1:2], drawn[-1]]
    paths = retraced(theta, drawn[:steps], config)
    noises = [noise_of(rollout, [path[k] for path in paths]) for k, rollout in enumerate(drawn)]
    return found.curve, found.adapted.parameters, drawn, measured, paths, noises


def assert_tasks_differ(paths, steps):
    """Another task's parameters cannot pass for a task's own."""
    for one, other in combinations(paths, 2):
        for k in range(1, steps + 1):
            assert max((one[k][n] - other[k][n]).abs().max() for n in one[k]) > 0.1


def assert_same_noise(noises, others):
    """Where an episode of both goes on."""
    for one, other in zip(noises, others, strict=True):
        both = ~(one.isnan() | other.isnan())
        assert both.sum() > 50
        torch.testing.assert_close(one[both], other[both], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("steps", [1, 2])
def test_every_phase_samples_every_task_by_its_own_adapted_policy(steps):
    """theta^k samples support k and theta^K the query; baselines and advantages are the task's own."""
    collected, rollouts, paths, _ = walk(steps)
    assert_tasks_differ(paths, steps)
    batches = [*collected.batch.support, collected.batch.query]
    assert len(batches) == len(rollouts) == steps + 1
    for k, (batch, rollout) in enumerate(zip(batches, rollouts, strict=True)):
        assert_seen(rollout, GOALS)
        for task, path in enumerate(paths):
            own, slow = select_task(batch, task), slow_batch(rollout, task)
            mean, log_std = network(path[k], own.observations)
            torch.testing.assert_close(own.behaviour.mean[own.valid], mean[own.valid], rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(own.behaviour.log_std, log_std, rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(own.advantages, slow.advantages, rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(own.actions, slow.actions, rtol=0, atol=0)


def test_noise_and_starts_are_fresh_in_every_phase_and_follow_from_the_key_alone():
    _, rollouts, _, noises = walk()
    _, others, _, by_others = walk(seed=1)
    _, elsewhere, _, with_another_key = walk(key=(3, 1, 5))
    assert_fresh([*noises, *with_another_key])
    assert_starts_differ([*rollouts, *elsewhere])
    assert_same_noise(noises, by_others)
    for one, other in zip(rollouts, others, strict=True):
        assert torch.equal(one.observations[:, :, 0], other.observations[:, :, 0])
        assert not torch.allclose(one.actions[:, :, 0], other.actions[:, :, 0])


def test_metrics_are_those_of_the_rollouts():
    collected, rollouts, paths, _ = walk()
    metrics, query, tasks = collected.metrics, collected.batch.query, range(len(GOALS))
    assert collected.environment_steps == sum(int(rollout.valid.sum()) for rollout in rollouts)
    assert metrics["rollout/diverged_episodes"] == 1 + 2 + 3
    seconds, steps = metrics["time/sampling_seconds"], collected.environment_steps
    assert metrics["time/environment_steps_per_second"] == pytest.approx(steps / seconds)
    for name, rollout in (("before", rollouts[0]), ("after", rollouts[-1])):
        returns = [sum(episode.rewards) for i in tasks for episode in episodes_of(rollout, i)]
        assert metrics[f"rollout/return_{name}"] == pytest.approx(np.mean(returns))
    shares = [slow_advantages(episodes_of(r, i), **SETTINGS)[1] for r in rollouts for i in tasks]
    assert metrics["baseline/explained_variance"] == pytest.approx(np.mean(shares), rel=1e-5)

    def normal(task, k, batch):
        mean, log_std = network(paths[task][k], batch.observations[task])
        return torch.distributions.Normal(mean, log_std.exp())

    def mean_of(values, batch):
        return torch.cat([values(i)[batch.valid[i]] for i in tasks]).mean().item()

    spread = mean_of(lambda i: normal(i, -1, query).stddev.mean(-1), query)
    assert metrics["policy/std"] == pytest.approx(spread, rel=1e-5)
    entropy = mean_of(lambda i: normal(i, -1, query).entropy().sum(-1), query)
    assert metrics["policy/entropy"] == pytest.approx(entropy, rel=1e-5)
    kl = torch.distributions.kl_divergence
    moved = [
        mean_of(lambda i, k=k, s=s: kl(normal(i, k, s), normal(i, k + 1, s)).sum(-1), s)
        for k, s in enumerate(collected.batch.support)
    ]
    assert metrics["inner/kl"] == pytest.approx(np.mean(moved), rel=1e-4)


class Slow(Kept):
    """A sampler that takes 0.02 seconds a rollout."""

    def collect(self, *arguments, **options):
        time.sleep(0.02)
        return super().collect(*arguments, **options)


def test_seconds_are_those_that_passed():
    learner, _, theta = setup(2)
    parts = Walk(Slow(learner.policy), learner, AdvantageConfig(**SETTINGS), TaskMap(2, 2))
    began = time.perf_counter()
    metrics = collect_meta_batch(parts, theta, TASKS, KEY).metrics
    passed = time.perf_counter() - began
    spent = [metrics[f"time/{phase}_seconds"] for phase in ("sampling", "advantages", "adaptation")]
    assert spent[0] >= 3 * 0.02
    assert min(spent) > 0
    assert sum(spent) <= passed


@pytest.mark.parametrize("deterministic", [False, True])
def test_an_evaluation_adapts_every_task_by_its_own_episodes(deterministic):
    """Three steps of a learner with two in training; returns are those of the task's own policies."""
    curve, adapted, drawn, measured, paths, noises = evaluation(steps=3, deterministic=deterministic)
    assert_tasks_differ(paths, 3)
    assert len(drawn) + deterministic == len(measured) == len(curve.returns) == 4
    assert_fresh(noises)
    assert_starts_differ([*drawn, *measured] if deterministic else drawn)
    for k, rollout in enumerate(measured):
        assert_seen(rollout, GOALS)
        for task, path in enumerate(paths):
            returns = [sum(episode.rewards) for episode in episodes_of(rollout, task)]
            assert curve.returns[k, task] == pytest.approx(np.mean(returns))
            if deterministic:
                mean, _ = network(path[k], rollout.observations[task])
                valid = rollout.valid[task]
                torch.testing.assert_close(rollout.actions[task][valid], mean[valid], rtol=1e-5, atol=1e-6)
            for n, value in adapted.items():
                torch.testing.assert_close(value[task], path[-1][n], rtol=1e-5, atol=1e-6)


def test_an_evaluations_noise_follows_from_the_key_alone():
    noises = evaluation()[-1]
    assert_same_noise(noises, evaluation(seed=1)[-1])
    assert_same_noise(noises[:-1], evaluation(deterministic=True)[-1])
    assert_fresh([*noises, *evaluation(key=(3, 1, 5))[-1]])


def adapt_in_a_diary(small_config, goal, seed=2, theta_seed=0):
    """`MetaPolicy.adapt` in two steps: the adapted policy, its episodes and those after the last step, the
    path retraced, the noise."""
    foreign = (
        "--environment.id=tests/Echo-v0",
        "--environment.options={}",
        "--environment.vectorization=sync",
    )
    rule = ("--meta_learner.inner_step_size=0.7", "--meta_learner.later_step_scale=0.5")
    settings = [f"--sampling.advantages.{name}={str(value).lower()}" for name, value in SETTINGS.items()]
    shapes = ("--policy.hidden_sizes=[5, 4]", f"--environment.horizon={HORIZON}")
    experiment, env = build_experiment(small_config(*foreign, *rule, *settings, *shapes)), Diary()
    theta = tiny_state(experiment.learner, theta_seed)
    meta_policy = MetaPolicy(describe(experiment), experiment.policy, theta)
    adapted = meta_policy.adapt(env, {"goal": goal}, episodes=8, steps=2, seed=seed)
    rollouts = env.rollouts(8)
    (path,) = retraced(theta, rollouts[:2], experiment.config.meta_learner)
    return adapted, rollouts, path, [noise_of(r, [path[k]]) for k, r in enumerate(rollouts)]


def test_a_meta_policy_adapts_by_fresh_episodes_of_every_steps_own_policy(small_config):
    adapted, rollouts, path, noises = adapt_in_a_diary(small_config, goal=-3.0)
    assert len(rollouts) == len(path) == 3
    assert_fresh(noises)
    assert_starts_differ(rollouts)
    for k, rollout in enumerate(rollouts):
        assert_seen(rollout, [-3.0])
        assert adapted.returns[k] == pytest.approx(rollout.returns.mean().item())
    for n, value in adapted.parameters.items():
        torch.testing.assert_close(value, path[-1][n], rtol=1e-5, atol=1e-6)
    assert max((path[2][n] - path[1][n]).abs().max() for n in path[1]) > 0.1


def test_a_meta_policys_noise_follows_from_the_seed_alone(small_config):
    noises = adapt_in_a_diary(small_config, goal=-3.0)[-1]
    assert_same_noise(noises, adapt_in_a_diary(small_config, goal=4.0, theta_seed=1)[-1])
    assert_fresh([*noises, *adapt_in_a_diary(small_config, goal=-3.0, seed=3)[-1]])
