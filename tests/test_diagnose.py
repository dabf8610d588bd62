"""`metarl diagnose` tells what limits the first inner step; its numbers are those of steps made by hand."""

import json

import numpy as np
import pytest
import torch

import metarl
from metarl.adaptation.diagnosis import LENGTHS, diagnose, rollouts_of
from metarl.experiment.build import build_experiment
from metarl.math.parameters import flatten
from metarl.policies.policy import TaskState
from tests.support.warm_commands import ROOT, run_script

TASKS, ROUNDS, KEY = 3, 4, (5, 0, 4)


@pytest.fixture(scope="module", params=["maml", "anil", "multi_task"])
def diagnosed(request):
    """A diagnosis of an untrained policy, and all that it was made of."""
    config = metarl.read_config(
        ROOT / "configs" / "quickstart.yaml",
        ["--meta_learner.name", request.param, "--environment.horizon", "10", "--sampling.tasks", "3"],
    )
    experiment = build_experiment(config)
    parameters = experiment.learner.initial_parameters(torch.Generator().manual_seed(1))
    tasks, bound = experiment.held_out_tasks(TASKS, 0), np.full(2, 0.1)
    walk, calls = experiment.walk(experiment.sampler(TASKS, 6)), []
    found = diagnose(
        walk, parameters, tasks, KEY, rounds=ROUNDS, bounds=(-bound, bound), progress=lambda: calls.append(1)
    )
    return found, walk, parameters, tasks, len(calls)


def step_of(walk, parameters, tasks, number):
    """The first inner step of every task from a round's episodes, one task after another; [task, D]."""
    visit = walk.visit(walk.start(parameters, TASKS), tasks, [*KEY, number])
    steps = []
    for i in range(TASKS):
        data = type(visit.batch)(*(pick(part, i) for part in visit.batch))
        after = walk.learner.adapt(TaskState(parameters), data).parameters
        steps.append(flatten({n: after[n].detach() - parameters[n] for n in parameters}))
    return torch.stack(steps), visit


def pick(part, i):
    if isinstance(part, dict):
        return {name: value[i] for name, value in part.items()}
    return type(part)(*(one[i] for one in part)) if isinstance(part, tuple) else part[i]


def returns_after(walk, parameters, tasks, steps):
    """Mean returns on the episodes that measure, of parameters moved by [task, D]."""
    moved, at = {}, 0
    for name, value in parameters.items():
        piece = steps[:, at : at + value.numel()].reshape(TASKS, *value.shape)
        moved[name], at = value + piece, at + value.numel()
    rollout = walk.sampler.collect(TaskState(moved, {}), tasks, [*KEY, ROUNDS])
    return rollout.returns.mean(-1).numpy()


def test_returns_are_those_of_steps_made_one_by_one(diagnosed):
    found, walk, parameters, tasks, _ = diagnosed
    steps = torch.stack([step_of(walk, parameters, tasks, number)[0] for number in range(ROUNDS)])
    others = torch.stack([steps[0, 2], steps[0, 0], steps[0, 1]])
    expected = {
        "before": 0 * steps[0],
        "exact": steps.mean(0),
        "other": others,
    }
    for name, moved in expected.items():
        np.testing.assert_allclose(
            getattr(found, name), returns_after(walk, parameters, tasks, moved), rtol=1e-3, err_msg=name
        )
    for scale in LENGTHS:
        after = returns_after(walk, parameters, tasks, scale * steps[0])
        np.testing.assert_allclose(found.lengths[scale].returns, after, rtol=1e-3)
    own = steps.double()
    assert found.signal.noise == pytest.approx(own.var(0).sum(-1).mean().item(), rel=1e-3)
    assert len(set(found.before) | set(found.exact) | set(found.other)) == 3 * TASKS


def test_divergences_grow_with_the_step_from_that_of_training(diagnosed):
    found, walk, parameters, tasks, _ = diagnosed
    steps, visit = step_of(walk, parameters, tasks, 0)
    divergence = []
    for i in range(TASKS):
        moved = {n: v.squeeze(0) for n, v in unflattened(steps[i], parameters).items()}
        at = walk.learner.policy(moved, visit.batch.observations[i])
        behaviour = type(visit.batch.behaviour)(*(part[i] for part in visit.batch.behaviour))
        divergence.append(behaviour.kl_divergence(at)[visit.batch.valid[i]])
    assert found.lengths[1.0].kl == pytest.approx(torch.cat(divergence).mean().item(), rel=1e-3)
    kls = [found.lengths[scale].kl for scale in LENGTHS]
    assert kls == sorted(kls)
    assert kls[1] / kls[0] == pytest.approx(4, rel=0.3)


def unflattened(vector, parameters):
    moved, at = {}, 0
    for name, value in parameters.items():
        moved[name] = value + vector[at : at + value.numel()].reshape(value.shape)
        at += value.numel()
    return moved


def test_exploration_is_that_of_the_policys_episodes(diagnosed):
    found, walk, parameters, tasks, _ = diagnosed
    rollout = walk.visit(walk.start(parameters, TASKS), tasks, [*KEY, 0]).rollout
    outside = (rollout.actions.abs() > 0.1)[rollout.valid].double().mean(0)
    np.testing.assert_allclose(found.outside, outside)
    np.testing.assert_allclose(found.std, parameters["log_std"].exp(), rtol=1e-5)
    assert (found.outside > 0.5).all()


def test_every_rollout_is_counted(diagnosed):
    found, *_, calls = diagnosed
    assert calls == rollouts_of(ROUNDS)
    assert found.environment_steps <= calls * TASKS * 6 * 10


def told(*words):
    return run_script("diagnose", *words, "--tasks", 2, "--rounds", 2, "--episodes", 3, "--quiet")


def test_a_runs_policy_and_a_configs_untrained_one_are_told(run_dir, tmp_path):
    of_run = told(run_dir, "--json", tmp_path / "run.json")
    assert of_run.returncode == 0, of_run.stderr
    for heading in ("The first inner step's direction", "Return", "Length of the step", "Exploration"):
        assert f"\n{heading}:\n" in of_run.stdout
    config = told("quickstart", "--environment.horizon", 8, "--json", tmp_path / "config.json")
    assert config.returncode == 0, config.stderr
    assert "metarl/PointNavigation-v0, quickstart: 2 tasks, 3 episodes a step, 2 rounds" in config.stdout
    found = [json.loads((tmp_path / name).read_text()) for name in ("run.json", "config.json")]
    assert found[0]["of"] == str(run_dir)
    assert list(found[1]["lengths"]) == ["0.25", "0.5", "1", "2", "4"]
    assert found[1]["returns"]["before"] != found[1]["returns"]["exact"]
    assert len(found[1]["std"]) == 2


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["zoo/half_cheetah_vel_rl2"], "expected a learner that adapts by gradients, got rl2"),
        (["glyphs/maml"], "meta_learner: expected this section"),
        (["nothing"], "expected a config file, or the name of a shipped config, got nothing"),
        (["quickstart", "--sampling.taskz", 3], "sampling.taskz: no such key"),
        (["quickstart", "--json", "/nowhere/at/all.json"], "--json: expected a file in a folder that exists"),
    ],
)
def test_what_cannot_be_diagnosed_is_told_in_a_line(words, line):
    done = told(*words)
    assert done.returncode == 2
    assert line in done.stderr
    assert len(done.stderr.splitlines()) == 1
