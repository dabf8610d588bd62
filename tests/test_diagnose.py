"""`metarl diagnose` tells what limits the first inner step; its numbers are those of steps made by hand."""

import json
from argparse import Namespace
from dataclasses import replace

import numpy as np
import pytest
import torch

import metarl
from metarl.adaptation.diagnosis import LENGTHS, Diagnosis, TriedLength, diagnose, exploration, rollouts_of
from metarl.commands.diagnose import tables
from metarl.experiment.build import build_experiment
from metarl.math.parameters import flatten
from metarl.math.signal import Signal
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
    walk, calls = experiment.walk(Counting(experiment.sampler(TASKS, 6))), []
    found = diagnose(
        walk, parameters, tasks, KEY, rounds=ROUNDS, bounds=(-bound, bound), progress=lambda: calls.append(1)
    )
    assert found.environment_steps == walk.sampler.environment_steps
    return found, walk, parameters, tasks, len(calls)


class Counting:
    """A sampler that counts what it was asked for."""

    def __init__(self, sampler):
        self._sampler, self.environment_steps = sampler, 0

    def collect(self, *arguments, **options):
        rollout = self._sampler.collect(*arguments, **options)
        self.environment_steps += rollout.environment_steps
        return rollout


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
    *_, calls = diagnosed
    assert calls == rollouts_of(ROUNDS)


def test_what_follows_an_episodes_end_is_no_exploration(diagnosed):
    """Four steps, of which the last two came after the end; a box that is wider above than below."""
    _, walk, parameters, tasks, _ = diagnosed
    rollout = walk.visit(walk.start(parameters, TASKS), tasks, [*KEY, 0]).rollout
    few = (slice(1), slice(1), slice(4))
    actions = torch.tensor([[-0.3, 0.3], [0.0, 0.0], [9.0, 9.0], [9.0, 9.0]])[None, None]
    log_std = torch.tensor([[0.0, 0.0], [0.0, 1.0], [9.0, 9.0], [9.0, 9.0]])[None, None]
    cut = replace(
        rollout,
        observations=rollout.observations[few],
        actions=actions,
        rewards=rollout.rewards[few],
        valid=torch.tensor([[[True, True, False, False]]]),
        terminated=rollout.terminated[:1, :1],
        truncated=rollout.truncated[:1, :1],
        behaviour_log_prob=rollout.behaviour_log_prob[few],
        behaviour=type(rollout.behaviour)(actions, log_std),
    )
    std, outside = exploration(cut, (np.full(2, -0.1), np.full(2, 0.5)))
    np.testing.assert_allclose(std, [1.0, (1 + np.e) / 2])
    np.testing.assert_allclose(outside, [0.5, 0.0])


def test_tables_have_what_was_found():
    """Two tasks, each all that exist; 5 episodes a step in 4 rounds."""
    before, own = np.array([1.0, 3.0]), np.array([4.0, 6.0])
    lengths = {scale: TriedLength(0.01 * scale, scale * own) for scale in LENGTHS}
    found = Diagnosis(
        Signal(2.0, 8.0, 1.5),
        before,
        np.array([5.0, 7.0]),
        np.array([0.0, 1.0]),
        lengths,
        np.array([0.25, 2.0]),
        np.array([0.5, 0.125]),
        1234,
    )
    drawn = tables(found, Namespace(rounds=4, episodes=5), None)
    cells = {heading: [list(row) for row in table.rows] for heading, table in drawn.items()}
    assert cells["The first inner step's direction"] == [
        ["signal to noise, of squared lengths", "0.25"],
        ["cosine of two rounds, about", "0.2"],
        ["episodes for a ratio of 1, about", "20"],
        ["of the signal, common to all tasks", "75%"],
    ]
    assert [row[:3] for row in cells["Return"]] == [
        ["before", "2.0", ""],
        ["after a step on 5 episodes", "5.0", "+3.0"],
        ["after the mean step of 20 episodes", "6.0", "+4.0"],
        ["after another task's step", "0.5", "-1.5"],
    ]
    assert [row[:4] for row in cells["Length of the step"]] == [
        ["0.25", "0.0025", "1.2", "-0.8"],
        ["0.5", "0.005", "2.5", "+0.5"],
        ["1", "0.01", "5.0", "+3.0"],
        ["2", "0.02", "10.0", "+8.0"],
        ["4", "0.04", "20.0", "+18.0"],
    ]
    assert cells["Exploration"] == [["0", "0.25", "50.0%"], ["1", "2", "12.5%"]]
    assert cells["Return"][3][3] == "[-2.0, -1.0]"
    all_that_exist = tables(found, Namespace(rounds=4, episodes=5), np.array([0, 1]))
    assert all_that_exist["Return"].rows[1][3] == ""


def test_what_nothing_tells_is_said():
    found = tables_of_signal(Signal(-1.0, 2.0, 0.0))
    assert [row[1] for row in found] == ["-0.5", "-1", "too many to tell", "not known"]
    assert tables_of_signal(Signal(30.0, 2.0, 0.0))[2][1] == "1 or fewer"


def tables_of_signal(signal):
    one, nothing = np.zeros(2), np.zeros(0)
    found = Diagnosis(signal, one, one, one, {1.0: TriedLength(0.0, one)}, nothing, nothing, 1)
    table = tables(found, Namespace(rounds=2, episodes=5), None)["The first inner step's direction"]
    return [list(row) for row in table.rows]


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
    assert found[1]["signal"]["cosine"] != found[1]["signal"]["ratio"]
    other = told("quickstart", "--environment.horizon", 8, "--seed", 1, "--json", tmp_path / "other.json")
    assert other.returncode == 0, other.stderr
    assert json.loads((tmp_path / "other.json").read_text())["returns"] != found[1]["returns"]


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
