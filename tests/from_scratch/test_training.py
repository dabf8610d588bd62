"""Learning from scratch: the protocol, and the same tasks as everybody's."""

import json

import numpy as np
import pytest
import torch
from metarl_envs.sb3_vec_env import TaskVecEnv
from stable_baselines3.common.evaluation import evaluate_policy

from metarl.experiment.build import build_experiment
from metarl.from_scratch.model import make_model
from metarl.from_scratch.training import evaluation_targets, run_from_scratch
from tests.from_scratch.conftest import OFF_POLICY, TARGETS


def test_it_is_evaluated_after_every_inner_steps_worth_and_at_intervals():
    assert evaluation_targets(16, 3, 100, 40) == TARGETS
    assert evaluation_targets(16, 3, 10, 20) == [0, 16, 20, 32, 40, 48]


def test_tasks_are_those_of_the_other_algorithms(config, small_config):
    result = run_from_scratch(config("--environment.options", "{preset: maml}"), resume=False)
    expected = build_experiment(small_config()).held_out_tasks(3, 3)
    np.testing.assert_array_equal(result.curve.tasks["goal"], expected["goal"])


@pytest.mark.parametrize(("algorithm", "rollout"), [("ppo", 12), ("sac", 6)])
def test_learning_takes_no_more_steps_than_it_may(config, monkeypatch, algorithm, rollout):
    """What does not fill another rollout is left; the evaluations have environments of their own."""
    taken = dict.fromkeys((2, 3), 0)  # by number of environments: 2 evaluate, 3 learn
    step = TaskVecEnv.step_wait

    def counted(envs):
        taken[envs.num_envs] += envs.num_envs
        return step(envs)

    monkeypatch.setattr(TaskVecEnv, "step_wait", counted)
    settings = "" if algorithm == "ppo" else json.dumps(OFF_POLICY)
    changed = ("--from_scratch.settings", settings) if settings else ()
    shown = []
    made = config("--from_scratch.algorithm", algorithm, *changed)
    result = run_from_scratch(made, False, shown.append)
    assert result.environment_steps.tolist() == [target // rollout * rollout for target in TARGETS]
    assert taken == {2: 3 * len(TARGETS) * 2 * 8, 3: result.total_environment_steps}
    assert sum(shown) == 3 * 100
    assert result.returns.shape == result.seconds.shape == (7, 3)
    np.testing.assert_array_equal(result.curve.returns, result.returns[[0, 1, 2, 4]])
    assert (np.diff(result.seconds, axis=0) >= 0).all()
    assert result.total_seconds == pytest.approx(result.seconds[-1].sum())


def test_it_learns(config):
    found = run_from_scratch(
        config(
            "--environment.horizon=20",
            "--from_scratch.num_envs=32",
            "--from_scratch.environment_steps=20480",
            "--from_scratch.evaluation_interval=5120",
            "--from_scratch.deterministic=true",
            "--from_scratch.settings",
            "{n_steps: 20, batch_size: 160, gamma: 0.9, learning_rate: 3.0e-3}",
            "--training.evaluation_tasks=2",
        ),
        resume=False,
    )
    distances = np.linalg.norm(found.curve.tasks["goal"], axis=1)
    assert (found.returns[-1] > -4 * distances).all()  # of 20 for staying
    assert (found.returns[-1] > found.returns[0] + 3).all()


def test_evaluations_leave_no_trace_in_learning(config, tmp_path):
    """Deterministic from the one start, they tell how far learning is."""
    seen = {}
    for interval in (40, 5):
        run = ("--run_dir", str(tmp_path / f"{interval}"), "--from_scratch.deterministic", "true")
        result = run_from_scratch(config(f"--from_scratch.evaluation_interval={interval}", *run), False)
        seen[interval] = result.curve.returns
    np.testing.assert_array_equal(seen[40], seen[5])


@pytest.mark.parametrize("algorithm", ["ppo", "sac"])
def test_same_seed_same_results(config, tmp_path, algorithm):
    settings = ("--from_scratch.settings", json.dumps(OFF_POLICY)) if algorithm == "sac" else ()

    def returns(folder, seed):
        np.random.default_rng().random()
        run = ("--run_dir", str(tmp_path / folder), "--seed", seed, "--from_scratch.algorithm", algorithm)
        return run_from_scratch(config(*run, *settings), False).returns

    first = returns("first", "3")
    np.testing.assert_array_equal(first, returns("again", "3"))
    assert not np.array_equal(first, returns("other", "4"))


def test_every_evaluation_is_of_as_many_episodes_and_every_task_learns_anew(config, monkeypatch):
    seen, models = [], []

    def evaluated(model, envs, episodes, deterministic):
        seen.append((envs.num_envs, episodes, deterministic))
        models.append(model)
        return evaluate_policy(model, envs, episodes, deterministic=deterministic)

    monkeypatch.setattr("metarl.from_scratch.training.evaluate_policy", evaluated)
    run_from_scratch(config("--policy.initial_std", "0.3"), False)
    assert seen == [(2, 2, False)] * 3 * len(TARGETS)
    starts = [torch.cat([p.flatten() for p in model.policy.parameters()]) for model in models]
    assert len({tuple(start.tolist()) for start in starts}) == 3
    assert len({model.seed for model in models}) == 3


def test_sampled_evaluations_leave_no_trace_in_learning(config, tmp_path, monkeypatch):
    models = []

    def kept_model(*given):
        models.append(make_model(*given))
        return models[-1]

    monkeypatch.setattr("metarl.from_scratch.training.make_model", kept_model)
    for interval in (40, 5):
        run = ("--run_dir", str(tmp_path / f"{interval}"), f"--from_scratch.evaluation_interval={interval}")
        run_from_scratch(config(*run, "--training.evaluation_tasks=1"), False)
    one, other = (model.policy.state_dict() for model in models)
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_trpo_of_sb3_contrib_learns(config):
    settings = (
        "--from_scratch.settings",
        "{n_steps: 20, batch_size: 160, gamma: 0.9, learning_rate: 3.0e-3}",
    )
    found = run_from_scratch(
        config(
            *("--environment.horizon=20", "--from_scratch.num_envs=32", "--from_scratch.algorithm=trpo"),
            *("--from_scratch.environment_steps=6400", "--training.evaluation_tasks=1", *settings),
            "--from_scratch.deterministic=true",
        ),
        resume=False,
    )
    assert found.returns[-1, 0] > found.returns[0, 0] + 3
