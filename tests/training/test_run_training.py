import csv
import signal
from functools import partial
from pathlib import Path

import pytest
import torch

import metarl
from metarl.errors import ConfigError, RunError, TrainingError
from metarl.experiment.training_section import TrainingConfig
from metarl.rollouts.sampler import RolloutSampler
from metarl.runs.checkpoint import load_checkpoint, load_snapshots
from metarl.runs.files import CHECKPOINT
from tests.support.warm_commands import run_script, start_script


def parameters(folder):
    return load_checkpoint(Path(folder)).state.parameters


def same(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


def rows(folder):
    with (Path(folder) / "progress.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if not k.startswith("time/")} for row in csv.DictReader(file)]


@pytest.mark.parametrize("environment", ["metarl/PointNavigation-v0", "metarl/HalfCheetahDir-v0"])
def test_same_seed_same_run_whatever_the_threads(train_small, tmp_path, environment):
    options = ("--environment.id", environment, "--environment.options", "{}")
    for folder, threads in (("one", "1"), ("two", "2"), ("again", "2")):
        counts = ("--sampling.num_threads", threads, "--training.threads", threads)
        train_small("--run_dir", str(tmp_path / folder), *options, *counts)
    assert same(parameters(tmp_path / "one"), parameters(tmp_path / "two"))
    assert same(parameters(tmp_path / "two"), parameters(tmp_path / "again"))
    assert rows(tmp_path / "one") == rows(tmp_path / "two")


def test_another_seed_is_another_run(train_small, tmp_path):
    train_small("--run_dir", str(tmp_path / "a"))
    train_small("--run_dir", str(tmp_path / "b"), "--seed", "4")
    assert not same(parameters(tmp_path / "a"), parameters(tmp_path / "b"))


def test_a_resumed_run_is_the_uninterrupted_run(train_small, tmp_path):
    train_small("--run_dir", str(tmp_path / "whole"), "--training.iterations", "5")
    halves = ("--run_dir", str(tmp_path / "halves"))
    train_small(*halves, "--training.iterations", "2")
    train_small(*halves, "--training.iterations", "5", resume=True)
    assert same(parameters(tmp_path / "whole"), parameters(tmp_path / "halves"))
    assert rows(tmp_path / "whole") == rows(tmp_path / "halves")


def test_training_stops_after_the_iteration_that_spends_its_environment_steps(train_small, tmp_path):
    """An iteration of 3 tasks x 4 episodes x 8 steps, twice, takes at most 192."""
    budget = ("--training.iterations", "1000", "--training.environment_steps")
    final = train_small("--run_dir", str(tmp_path / "a"), *budget, "500")
    assert 500 <= final.environment_steps < 500 + 192
    assert len(rows(tmp_path / "a")) == final.iteration
    again = train_small("--run_dir", str(tmp_path / "a"), *budget, "500", resume=True)
    assert again.iteration == final.iteration
    more = train_small("--run_dir", str(tmp_path / "a"), *budget, "900", resume=True)
    whole = train_small("--run_dir", str(tmp_path / "b"), *budget, "900")
    assert more.iteration == whole.iteration > final.iteration
    assert same(parameters(tmp_path / "a"), parameters(tmp_path / "b"))


def test_a_budget_ends_with_the_step_that_reaches_it():
    training = TrainingConfig(iterations=3, environment_steps=500)
    assert [training.is_done(*done) for done in ((2, 499), (2, 500), (3, 0))] == [False, True, True]
    assert not TrainingConfig(iterations=3).is_done(2, 10**9)


def test_policies_are_kept_at_the_start_and_wherever_a_multiple_of_steps_is_crossed(train_small, tmp_path):
    every = ("--training.snapshot_every", "300")
    train_small("--run_dir", str(tmp_path / "whole"), *every, "--training.iterations", "6")
    with (tmp_path / "whole/progress.csv").open(newline="") as file:
        taken = [0] + [int(float(row["rollout/environment_steps"])) for row in csv.DictReader(file)]
    crossed = [i for i in range(1, 7) if taken[i] // 300 > taken[i - 1] // 300]
    found = load_snapshots(tmp_path / "whole")
    assert [one.iteration for one in found] == [0, *crossed]
    assert [one.environment_steps for one in found] == [taken[i] for i in (0, *crossed)]
    last = str(crossed[-1])
    stopped = train_small("--run_dir", str(tmp_path / "b"), "--training.iterations", last)
    assert same(stopped.state.parameters, found[-1].state.parameters)
    loaded = metarl.load(tmp_path / "whole", iteration=int(last))
    assert same(loaded.parameters, stopped.state.parameters)
    with pytest.raises(RunError, match=r"iterations whose policies were kept, \[0, .*got 77"):
        metarl.load(tmp_path / "whole", iteration=77)
    halves = ("--run_dir", str(tmp_path / "halves"), *every)
    train_small(*halves, "--training.iterations", "2")
    train_small(*halves, "--training.iterations", "6", resume=True)
    assert [one.iteration for one in load_snapshots(tmp_path / "halves")] == [0, *crossed]
    train_small("--run_dir", str(tmp_path / "none"))
    assert load_snapshots(tmp_path / "none") == []


def test_no_iteration_keeps_the_policy_as_it_starts(train_small, tmp_path):
    final = train_small("--training.iterations", "0")
    kept = metarl.load(tmp_path / "run").parameters
    assert final.environment_steps == 0
    assert same(final.state.parameters, kept)


@pytest.mark.parametrize("checkpoint_every", [pytest.param("1", marks=pytest.mark.slow), "3"])
def test_a_killed_run_resumes_to_the_same_bits_and_rows(
    train_small, small_config_file, tmp_path, checkpoint_every
):
    killed = tmp_path / "killed"
    words = ["train", "--config", small_config_file, "--run_dir", killed]
    words += ["--training.checkpoint_every", checkpoint_every, "--training.iterations"]

    def has_rows(number):
        files = killed / "progress.csv", killed / CHECKPOINT
        return all(file.exists() for file in files) and len(rows(killed)) > number

    for resume, number in (("false", 5), ("true", 14)):
        with start_script(*words, 1000, "--resume", resume) as process:
            process.wait_until(partial(has_rows, number))
        assert process.returncode == -signal.SIGKILL, "expected the run to be killed before its end"
    end = len(rows(killed)) + 2
    finished = run_script(*words, end, "--resume", "true")
    assert finished.returncode == 0, finished.stderr
    assert "Resumed at iteration" in finished.stdout
    train_small("--run_dir", str(tmp_path / "whole"), "--training.iterations", str(end))
    assert same(parameters(tmp_path / "whole"), parameters(killed))
    assert [row["iteration"] for row in rows(killed)] == [str(i) for i in range(end)]
    assert rows(killed) == rows(tmp_path / "whole")


def test_an_interrupt_leaves_a_resumable_run(train_small, tmp_path, monkeypatch):
    """Also where checkpoints are seldom: every finished iteration is kept."""
    original, progress = RolloutSampler.collect, tmp_path / "run" / "progress.csv"

    def interrupted(self, *arguments, **options):
        if progress.exists() and len(rows(tmp_path / "run")) == 2:
            raise KeyboardInterrupt
        return original(self, *arguments, **options)

    folder = ("--run_dir", str(tmp_path / "run"), "--training.checkpoint_every", "10")
    with monkeypatch.context() as patch:
        patch.setattr(RolloutSampler, "collect", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_small(*folder)
    assert load_checkpoint(tmp_path / "run").iteration == 2
    assert len(rows(tmp_path / "run")) == 2
    train_small(*folder, resume=True)
    assert len(rows(tmp_path / "run")) == 4


@pytest.mark.parametrize("fault", ["reward", "observation"])
def test_faulty_environments_are_named_and_the_last_checkpoint_kept(
    train_small, tmp_path, fault, monkeypatch
):
    foreign = ("--environment.id", "tests/Drift-v0", "--environment.vectorization", "sync")
    run = ("--run_dir", str(tmp_path / "run"))
    good = ("--environment.options", "{}")
    train_small(*foreign, *run, *good, "--training.iterations", "2")
    before = (tmp_path / "run" / CHECKPOINT).read_bytes()
    monkeypatch.setattr("tests.support.tiny_envs.Drift.step", faulty_step(fault))
    with pytest.raises(TrainingError, match=rf"tests/Drift-v0, task .*velocity.*iteration 2.*{fault}"):
        train_small(*foreign, *run, *good, resume=True)
    assert (tmp_path / "run" / CHECKPOINT).read_bytes() == before


def faulty_step(fault):
    import numpy as np

    def step(self, action):
        bad = np.array([np.nan if fault == "observation" else 0.0])
        return bad, (float("inf") if fault == "reward" else 0.0), False, False, {}

    return step


def test_an_overflowing_inner_step_is_named(train_small, tmp_path):
    with pytest.raises(
        TrainingError,
        match=r"PointNavigation.*goal.*iteration 0.*smaller steps: .*meta_learner\.inner_step_size",
    ):
        train_small("--meta_learner.inner_step_size", "1e38", "--meta_learner.inner_steps", "2")


def test_a_run_is_not_overwritten(train_small):
    train_small("--training.iterations", "1")
    with pytest.raises(RunError, match="already holds a run"):
        train_small("--training.iterations", "1")


def test_a_resume_with_another_setting_names_it(train_small):
    train_small("--training.iterations", "1")
    with pytest.raises(RunError, match=r"sampling\.episodes: expected 4.* got 5"):
        train_small("--sampling.episodes", "5", resume=True)


def test_a_resume_of_a_foreign_folder_is_refused(train_small, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="expected a run to resume"):
        train_small(resume=True)


def test_a_corrupted_checkpoint_is_not_resumed(train_small, tmp_path):
    train_small("--training.iterations", "1")
    (tmp_path / "run" / CHECKPOINT).write_bytes(b"garbage")
    with pytest.raises(RunError, match="damaged"):
        train_small(resume=True)


def test_a_run_dir_that_cannot_be_made_is_told(train_small, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="run_dir: expected a folder to write to"):
        train_small("--run_dir", str(tmp_path / "file" / "run"))


def test_foreign_environments_train_in_processes_of_their_own(train_small):
    final = train_small(
        "--environment.id",
        "tests.support.tiny_envs:tests/Drift-v0",
        "--environment.options",
        "{}",
        "--environment.vectorization",
        "async",
        "--training.iterations",
        "2",
    )
    assert final.iteration == 2


@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_with_somebodys_policy_is_left_alone(train_small, tmp_path, resume):
    train_small("--training.iterations", "1")
    saved = tmp_path / "saved"
    metarl.load(tmp_path / "run").save(saved)
    before = (saved / "policy.safetensors").read_bytes()
    again = ("--run_dir", str(saved), "--training.iterations", "1", "--training.device", "cpu")
    with pytest.raises(RunError, match=r"^run_dir: .*(saved policy|already holds)"):
        train_small(*again, resume=resume)
    assert (saved / "policy.safetensors").read_bytes() == before


def test_a_fault_in_an_evaluation_loses_no_iteration_and_is_named(train_small, tmp_path):
    loud = ("--meta_learner.later_step_scale", "1e38", "--training.evaluation_steps", "2")
    every = ("--training.evaluate_every", "2")
    with pytest.raises(TrainingError, match=r"PointNavigation.*goal.*evaluation after 2 iterations"):
        train_small(*loud, *every)
    assert load_checkpoint(tmp_path / "run").iteration == 2
    assert len(rows(tmp_path / "run")) == 2


def test_an_abbreviated_key_is_unknown(small_config):
    with pytest.raises(ConfigError, match=r"did you mean training\.iterations"):
        small_config("--training.iteration", "3")
