"""Learning from scratch: the protocol, and the same tasks as everybody's."""

import json

import numpy as np
import pytest

from metarl.experiment.build import build_experiment
from metarl.from_scratch.training import evaluation_targets, run_from_scratch
from tests.from_scratch.conftest import OFF_POLICY, TARGETS
from tests.support.diary_family import CONTROLS, register, unregister


def test_it_is_evaluated_after_every_inner_steps_worth_and_at_intervals():
    assert evaluation_targets(16, 3, 100, 40) == TARGETS
    assert evaluation_targets(16, 3, 10, 20) == [0, 16, 20, 32, 40, 48]


def test_tasks_are_those_of_the_other_algorithms(config, small_config):
    result = run_from_scratch(config("--environment.options", "{preset: maml}"), resume=False)
    expected = build_experiment(small_config()).held_out_tasks(3, 3)
    np.testing.assert_array_equal(result.curve.tasks["goal"], expected["goal"])


@pytest.fixture
def diary():
    """Number of environments -> controls of their steps; two evaluate, three learn."""
    CONTROLS.clear()
    register()
    yield CONTROLS
    unregister()


def learnt(config, *overrides):
    return run_from_scratch(config("--environment.id", "metarl/Diary-v0", *overrides), False)


@pytest.mark.parametrize(("algorithm", "rollout"), [("ppo", 12), ("sac", 6)])
def test_learning_takes_no_more_steps_than_it_may(config, diary, algorithm, rollout):
    """What does not fill another rollout is left; evaluations have environments of their own."""
    own = ("--from_scratch.settings", json.dumps(OFF_POLICY)) if algorithm == "sac" else ()
    result = learnt(config, "--from_scratch.algorithm", algorithm, *own)
    assert result.environment_steps.tolist() == [target // rollout * rollout for target in TARGETS]
    taken = {number: sum(map(len, controls)) for number, controls in diary.items()}
    assert taken == {2: 3 * len(TARGETS) * 2 * 8, 3: result.total_environment_steps}
    assert result.returns.shape == result.seconds.shape == (7, 3)
    np.testing.assert_array_equal(result.curve.returns, result.returns[[0, 1, 2, 4]])
    assert (np.diff(result.seconds, axis=0) >= 0).all()
    assert result.total_seconds == pytest.approx(result.seconds[-1].sum())


def test_progress_is_told_in_environment_steps(config):
    shown = []
    run_from_scratch(config(), False, shown.append)
    assert sum(shown) == 3 * 100


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


def test_every_task_learns_anew(config, diary):
    """An untrained network stays at the origin, whatever was learned before; then each goes its own way."""
    returns = learnt(config, "--from_scratch.deterministic", "true").returns
    np.testing.assert_allclose(returns[0], -8 * 0.3 * 2**0.5, rtol=1e-6)
    assert len(set(returns[-1])) == 3


def test_sampled_evaluations_leave_no_trace_in_learning(config, tmp_path, diary):
    taken = []
    for interval in (40, 5):
        diary.clear()
        run = ("--run_dir", str(tmp_path / f"{interval}"), f"--from_scratch.evaluation_interval={interval}")
        learnt(config, *run, "--training.evaluation_tasks=1")
        taken.append(np.concatenate(diary[3]))
    np.testing.assert_array_equal(*taken)


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
