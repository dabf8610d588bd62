"""Whatever trained a run, its folder is used in the same way."""

import csv
import sys

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3.common.evaluation import evaluate_policy

import metarl
from metarl.commands import adapt
from metarl.compute.task_map import select_task
from metarl.experiment.environments import make_env
from metarl.math.parameters import repeat
from metarl.meta_learners.gradient_learner import gradient_learner
from metarl.meta_learners.inner.gradient_step import inner_step
from metarl.meta_learners.inner.rule import differentiated
from metarl.meta_learners.registry import META_LEARNERS, Registered
from metarl.meta_learners.settings import GradientConfig
from metarl.objectives.policy_gradient import inner_loss
from metarl.policies.policy import TaskState
from metarl.rollouts.advantages import compute_advantages
from metarl.rollouts.episodes import EpisodeSampler
from metarl.runs.checkpoint import load_checkpoint
from metarl.runs.run_config import load_run_config
from tests.support.tiny import BY_GRADIENT, adapted_by, by_adam, inner_steps

TASK = {"goal": [0.2, -0.1]}

every_learner = pytest.mark.parametrize("name", BY_GRADIENT)


def of(name, *overrides):
    return ("--meta_learner.name", name, *inner_steps(name, 2), *overrides)


def same(one, other):
    assert list(one) == list(other)
    return all(torch.equal(value, other[n]) for n, value in one.items())


@every_learner
@pytest.mark.filterwarnings("ignore:.*not wrapped with a ``Monitor``:UserWarning")
def test_a_run_loads_adapts_acts_and_saves(train_small, tmp_path, name):
    final = train_small(*of(name), "--training.iterations", "2")
    folder = tmp_path / "run"
    env = make_env(load_run_config(folder))
    meta_policy = metarl.load(folder)
    assert same(meta_policy.parameters, final.state.parameters)
    adapted = meta_policy.adapt(env, TASK, episodes=5, steps=2, seed=1)
    assert not same(adapted.parameters, final.state.parameters)
    adapted.save(tmp_path / "adapted")
    loaded = metarl.load(tmp_path / "adapted")
    assert same(loaded.parameters, adapted.parameters)
    mean, deviation = evaluate_policy(loaded, env, n_eval_episodes=3)
    assert np.isfinite([mean, deviation]).all()
    action, _ = loaded.predict(np.zeros(2), deterministic=True)
    expected, _ = loaded.policy(adapted.parameters, torch.zeros(2))
    np.testing.assert_allclose(action, expected.clamp(-1, 1), rtol=1e-6)


@every_learner
def test_what_the_script_saves_is_loaded(train_small, tmp_path, monkeypatch, name):
    train_small(*of(name), "--training.iterations", "1")
    run, saved = str(tmp_path / "run"), str(tmp_path / "goal.safetensors")
    options = ["--task", '{"goal": [0.2, -0.1]}', "--episodes", "4", "--steps", "2", "--save", saved]
    monkeypatch.setattr(sys, "argv", ["adapt", run, *options])
    assert adapt.main() == 0
    loaded, trained = metarl.load(saved), metarl.load(run)
    assert list(loaded.parameters) == list(trained.parameters)
    assert not same(loaded.parameters, trained.parameters)
    assert isinstance(loaded, metarl.AdaptedPolicy)
    assert (dict(loaded.task), len(loaded.returns)) == (TASK, 3)


@every_learner
def test_adaptation_is_the_learners_own_inner_step_on_fresh_episodes(train_small, tmp_path, name):
    train_small(*of(name), "--training.iterations", "1")
    meta_policy = metarl.load(tmp_path / "run")
    experiment, env = meta_policy.experiment, gymnasium.make("metarl/PointNavigation-v0", max_episode_steps=8)
    adapted = meta_policy.adapt(env, TASK, episodes=5, steps=3, seed=4, evaluation_episodes=0)
    current, returns = meta_policy.parameters, []
    for step in range(3):
        sampler = EpisodeSampler(env, experiment.policy, episodes=5, horizon=8)
        rollout = sampler.collect(TaskState(repeat(current, 1)), TASK, (4, step))
        returns.append(rollout.returns.mean().item())
        batch, _ = compute_advantages(rollout, experiment.config.sampling.advantages)
        current = adapted_by(experiment.learner, current, select_task(batch, 0), step)
    assert adapted.returns == pytest.approx(returns, rel=1e-5)
    for n, value in adapted.parameters.items():
        torch.testing.assert_close(value, current[n], rtol=1e-4, atol=1e-6)


@every_learner
def test_a_resumed_run_is_the_uninterrupted_run(train_small, tmp_path, name):
    """Moments and counters of the outer optimiser among what a checkpoint holds."""
    outer = ("--meta_learner.outer", by_adam(name)["outer"])
    folders = [("--run_dir", str(tmp_path / folder)) for folder in ("whole", "halves")]
    train_small(*of(name), *outer, *folders[0], "--training.iterations", "4")
    train_small(*of(name), *outer, *folders[1], "--training.iterations", "2")
    train_small(*of(name), *outer, *folders[1], "--training.iterations", "4", resume=True)
    whole, halves = (load_checkpoint(tmp_path / folder) for folder in ("whole", "halves"))
    assert whole.state.optimiser
    assert same(whole.state.parameters, halves.state.parameters)
    assert same(dict(sorted(whole.state.optimiser.items())), dict(sorted(halves.state.optimiser.items())))
    assert whole.environment_steps == halves.environment_steps


def annealed(policy, config, task_map):
    """A learner of somebody's own, which learns one step size for all parameters."""
    loss = inner_loss(policy, config.inner_objective)

    def step(parameters, batch, k):
        own = [n for n in parameters if n != "heat"]
        return inner_step(loss, parameters, batch, dict.fromkeys(own, parameters["heat"]), names=own)

    rule = differentiated(step, entries=lambda parameters: {"heat": torch.tensor(0.1)})
    return gradient_learner(policy, config, config.inner_steps, rule, task_map)


def test_another_learner_takes_a_registry_line_alone(train_small, tmp_path, monkeypatch):
    """What it learns beside the policy is logged, saved and used."""
    monkeypatch.setitem(META_LEARNERS, "annealed", Registered(GradientConfig, annealed))
    final = train_small(*of("annealed"), "--training.iterations", "2")
    learned = final.state.parameters["heat"]
    with (tmp_path / "run" / "progress.csv").open(newline="") as file:
        logged = [float(row["update/mean_of_heat"]) for row in csv.DictReader(file)]
    assert logged[-1] == pytest.approx(learned.item())
    assert logged[-1] != pytest.approx(0.1)
    meta_policy = metarl.load(tmp_path / "run")
    adapted = meta_policy.adapt(make_env(load_run_config(tmp_path / "run")), TASK, episodes=2)
    assert torch.equal(adapted.parameters["heat"], learned)
    assert not same(adapted.parameters, meta_policy.parameters)


@every_learner
def test_an_inner_step_is_a_rollout_of_its_own(train_small, tmp_path, name):
    """Those that a learner takes between rollouts; and so are the adapted policies' episodes."""
    cheetah = ("--environment.id", "metarl/HalfCheetahDir-v0", "--environment.options", "{}")
    steps = (*inner_steps(name, 3), "--training.iterations", "1")
    final = train_small("--meta_learner.name", name, *steps, *cheetah)
    rollouts = metarl.load(tmp_path / "run").experiment.learner.inner_steps + 1
    assert final.environment_steps == rollouts * 3 * 4 * 8
