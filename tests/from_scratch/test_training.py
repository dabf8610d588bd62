"""Learning from scratch: the protocol, restarts, and the same tasks as everybody's."""

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from metarl_envs.sb3_vec_env import TaskVecEnv
from metarl_envs.tasks import unstack_tasks
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy

import metarl
from metarl.errors import ConfigError, RunError, TrainingError
from metarl.experiment.build import build_experiment
from metarl.experiment.config import read_config
from metarl.experiment.environments import held_out_tasks
from metarl.from_scratch.model import make_model, make_vec_env
from metarl.from_scratch.training import evaluation_targets, run_from_scratch, train_from_scratch

ROOT = Path(__file__).parents[2]
SCRATCH = {
    "seed": 3,
    "environment": {"id": "metarl/PointNavigation-v0", "horizon": 8},
    "policy": {"hidden_sizes": [8]},
    "from_scratch": {
        "num_envs": 3,
        "environment_steps": 300,
        "evaluation_interval": 40,
        "settings": {"n_steps": 4, "batch_size": 12},
    },
    "training": {"evaluation_tasks": 3, "evaluation_episodes": 2, "evaluation_steps": 3},
}
TARGETS = [0, 16, 32, 40, 48, 80, 100]
OFF_POLICY = {"learning_starts": 5, "buffer_size": 200, "batch_size": 4, "train_freq": 2}


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def config_file(tmp_path):
    path = tmp_path / "scratch.yaml"
    path.write_text(yaml.safe_dump({**SCRATCH, "run_dir": str(tmp_path / "run")}))
    return path


@pytest.fixture
def config(config_file):
    """(*overrides) -> config."""
    return lambda *overrides: read_config(config_file, overrides)


def kept(folder):
    """The numbers of the finished tasks."""
    return sorted(path.name.partition("-")[0] for path in (folder / "tasks").iterdir())


def test_it_is_evaluated_after_every_inner_steps_worth_and_at_intervals():
    assert evaluation_targets(16, 3, 100, 40) == TARGETS
    assert evaluation_targets(16, 3, 10, 20) == [0, 16, 20, 32, 40, 48]


def test_tasks_are_those_of_the_other_algorithms(config, small_config):
    result = run_from_scratch(config("--environment.options", "{preset: maml}"), resume=False)
    expected = build_experiment(small_config()).held_out_tasks(3, 3)
    np.testing.assert_array_equal(result.curve.tasks["goal"], expected["goal"])


def test_the_table_by_inner_steps_is_kept(config, tmp_path):
    result = run_from_scratch(config(), resume=False)
    (folder,) = (tmp_path / "run" / "evaluation").iterdir()
    summary = json.loads((folder / "adaptation.json").read_text())["lists"]["held-out"]
    assert summary["mean_return"] == result.curve.mean.tolist()
    assert len((folder / "adaptation.csv").read_text().splitlines()) == 1 + 3


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


def test_an_interrupt_loses_one_task_and_repeats_no_other(config, tmp_path, monkeypatch):
    whole = run_from_scratch(config("--run_dir", str(tmp_path / "whole")), False)
    learn, calls = PPO.learn, []

    def interrupted(model, *arguments, **settings):
        calls.append(1)
        if len(calls) == 9:  # of six a task
            raise KeyboardInterrupt
        return learn(model, *arguments, **settings)

    monkeypatch.setattr(PPO, "learn", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_from_scratch(config(), False)
    assert kept(tmp_path / "run") == ["0000"]
    calls[:] = [1] * 9
    np.testing.assert_array_equal(run_from_scratch(config(), True).returns, whole.returns)
    assert len(calls) == 9 + 2 * 6
    np.testing.assert_array_equal(run_from_scratch(config(), True).returns, whole.returns)
    assert len(calls) == 9 + 2 * 6


def test_a_run_is_gone_on_with_and_not_overwritten(config):
    run_from_scratch(config(), False)
    with pytest.raises(RunError, match="already holds a run"):
        run_from_scratch(config(), False)
    with pytest.raises(RunError, match=r"from_scratch.settings.n_steps: expected 4"):
        run_from_scratch(config("--from_scratch.settings.n_steps", "5"), True)


@pytest.mark.parametrize(
    "change",
    [
        ["--training.evaluation_episodes", "3"],
        ["--training.evaluation_steps", "2"],
        ["--from_scratch.environment_steps", "600"],
        ["--from_scratch.evaluation_interval", "30"],
        ["--from_scratch.deterministic", "true"],
    ],
)
def test_results_of_another_protocol_are_learned_and_the_old_ones_kept(config, tmp_path, monkeypatch, change):
    first = run_from_scratch(config(), False)
    fresh = run_from_scratch(config("--run_dir", str(tmp_path / "fresh"), *change), False)
    changed = run_from_scratch(config(*change), True)
    np.testing.assert_array_equal(changed.returns, fresh.returns)
    assert kept(tmp_path / "run") == ["0000", "0000", "0001", "0001", "0002", "0002"]
    monkeypatch.setattr(PPO, "learn", None)
    np.testing.assert_array_equal(run_from_scratch(config(), True).returns, first.returns)


def test_results_are_those_of_a_task_and_damage_is_told(config, tmp_path):
    run_from_scratch(config(), False)
    protocol = {"steps": 3, "episodes": 2, "environment_steps_per_task": 100, "run_dir": tmp_path / "run"}
    tasks = held_out_tasks(config(), 4, 3)
    assert train_from_scratch(config(), tasks, **protocol).returns.shape == (7, 4)
    assert kept(tmp_path / "run") == ["0000", "0001", "0002", "0003"]
    exchanged = {"goal": tasks["goal"][[1, 0]]}
    train_from_scratch(config(), exchanged, **protocol)
    assert kept(tmp_path / "run") == ["0000", "0000", "0001", "0001", "0002", "0003"]
    next((tmp_path / "run/tasks").glob("0003*")).write_text("{")
    with pytest.raises(RunError, match=r"0003-.*\.json: expected the results of a task, found a damaged fi"):
        train_from_scratch(config(), tasks, **protocol)


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


def test_the_initial_std_is_the_configs(config):
    made = config("--policy.initial_std", "0.3")
    task = next(unstack_tasks(held_out_tasks(made, 1, 0)))
    with closing(make_vec_env(made, 3, task)) as envs:
        model = make_model(made, envs, 0)
    torch.testing.assert_close(model.policy.log_std.exp(), torch.full((2,), 0.3))


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


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["--from_scratch.settings", "{n_stepps: 3}"],
            r"settings: expected keys among .*'n_steps'.*n_stepps",
        ),
        (
            ["--from_scratch.settings", "{policy_kwargs: {}}"],
            r"settings: expected keys .*got \['policy_kwargs",
        ),
        (
            ["--from_scratch.algorithm", "td3"],
            r"algorithm: expected one of \['ppo', 'sac', 'trpo'\], got 'td3",
        ),
        (["--from_scratch.num_envs", "0"], "num_envs: expected an integer > 0, got '0'"),
        (["--from_scratch.inner_steps", "1"], "from_scratch.inner_steps: expected one of the keys"),
        (["--from_scratch.settings", "{clip_range: wide}"], "settings: expected what PPO takes, got .*wide"),
        (["--policy.min_std", "0.1"], r"policy.min_std: expected one of the keys \['policy.activation', "),
        (
            ["--environment.id", "tests/Drift-v0", "--environment.vectorization", "sync"],
            "environment: expected one of metarl's natively batched environments, got 'tests/Drift-v0'",
        ),
    ],
)
def test_settings_that_do_not_work_are_named(config, overrides, message):
    with pytest.raises(ConfigError, match=message) as raised:
        run_from_scratch(config(*overrides), resume=False)
    assert "\n" not in str(raised.value)


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


def test_trpo_tells_what_to_install(config, monkeypatch):
    monkeypatch.setattr("metarl.policies.stable_baselines.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"from_scratch.algorithm: expected .* \(pip install sb3-contrib\)"):
        config("--from_scratch.algorithm", "trpo")


def test_learning_that_breaks_down_names_the_task(config, tmp_path):
    wild = config("--from_scratch.settings.learning_rate", "1e30")
    with pytest.raises(
        TrainingError, match=r'PointNavigation-v0, task {"goal": .*before \d+ .*learning_rate'
    ):
        run_from_scratch(wild, False)


def test_it_leaves_no_policy_to_load_and_says_so(config, tmp_path):
    run_from_scratch(config(), False)
    with pytest.raises(ConfigError, match=r"got from_scratch, which .* no policy that adapts.*run/tasks"):
        metarl.load(tmp_path / "run")


def test_train_py_runs_and_resumes_it(config_file, tmp_path):
    command = [sys.executable, str(ROOT / "scripts/train.py"), "--config", str(config_file)]
    first = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "ppo from scratch on 3 held-out tasks" in first.stdout
    rows = [line.split() for line in first.stdout.splitlines() if line.strip()[:1].isdigit()]
    assert [row[0] for row in rows] == ["0", "1", "2", "3", "0", "12", "24", "36", "48", "72", "96"]
    assert [row[1] for row in rows[:4]] == [rows[4 + k][2] for k in (0, 1, 2, 4)]
    next((tmp_path / "run/tasks").glob("0002-*.json")).unlink()
    again = subprocess.run([*command, "--resume", "true"], capture_output=True, text=True, check=True)
    table = "inner steps   mean"
    assert again.stdout.split(table)[1][:400] == first.stdout.split(table)[1][:400]
