"""Several seeds and swept values: a run each, restartable, and a table of all."""

import io
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from unittest.mock import patch

import pytest
import torch

from metarl.commands import train
from metarl.errors import ConfigError
from metarl.runs.checkpoint import load_checkpoint
from metarl.runs.run_config import load_run_config
from metarl.training.several_runs import plan_runs
from metarl.training.sweeps import read_seeds, read_sweeps, variant_name

SWEEP = ("--sweep", "meta_learner.inner_step_size=0.1,0.2", "--seeds", "1", "2", "--training.iterations", "2")
NAMES = [f"inner_step_size={size}_seed={seed}" for size in (0.1, 0.2) for seed in (1, 2)]


@pytest.fixture
def command(small_config_file):
    """(*words) -> the train command in this process: its exit code and what it printed."""

    def call(*words):
        out, err = io.StringIO(), io.StringIO()
        arguments = ["metarl train", str(small_config_file), *map(str, words)]
        with patch.object(sys, "argv", arguments), redirect_stdout(out), redirect_stderr(err):
            code = train.main()
        return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())

    handler, threads = signal.getsignal(signal.SIGTERM), torch.get_num_threads()
    yield call
    signal.signal(signal.SIGTERM, handler)
    torch.set_num_threads(threads)


def lines(done):
    """The rows of the table, by the run's name."""
    table = done.stdout.partition("by number of inner steps:\n\n")[2].partition("\n\n")[0].splitlines()
    return {line.split()[0]: line for line in table[1:]}


def test_seeds_are_listed_or_counted():
    assert read_seeds([3]) == [1, 2, 3]
    assert read_seeds([7, 3]) == [7, 3]
    for wrong in ([0], [2, 2]):
        with pytest.raises(ConfigError, match="--seeds: expected different seeds, or how many, got"):
            read_seeds(wrong)


def test_sweeps_multiply():
    assert read_sweeps([]) == [{}]
    assert read_sweeps(["a.x=1,2", "b=[4,4],[8]"]) == [
        {"a.x": "1", "b": "[4,4]"},
        {"a.x": "1", "b": "[8]"},
        {"a.x": "2", "b": "[4,4]"},
        {"a.x": "2", "b": "[8]"},
    ]


@pytest.mark.parametrize("wrong", ["a", "a=", "=1", "a=1,,2", "a=1,1"])
def test_a_sweep_without_different_values_is_told(wrong):
    with pytest.raises(ConfigError, match=r"--sweep: expected KEY=A,B,\.\.\. of different keys and values"):
        read_sweeps([wrong])
    with pytest.raises(ConfigError, match="--sweep"):
        read_sweeps(["a=1", "a=2"])


def test_names_are_folders_and_tell_runs_apart():
    assert variant_name({"meta_learner.inner_step_size": "0.1", "seed": 2}) == "inner_step_size=0.1_seed=2"
    assert variant_name({"policy.name": "a", "meta_learner.name": "b"}) == "policy.name=a_meta_learner.name=b"
    odd = [variant_name({"policy.start_from": path}) for path in ("runs/a.zip", "runs-a.zip")]
    assert len(set(odd)) == 2
    assert not any("/" in name for name in odd)


@pytest.mark.parametrize(("variant", "seeds"), [({"run_dir": "x"}, []), ({"seed": "1"}, [1])])
def test_what_names_the_runs_is_not_swept(small_config_file, variant, seeds):
    with pytest.raises(ConfigError, match="--sweep: expected a key of the runs' own, got"):
        plan_runs(small_config_file, [], seeds, [variant])


def test_every_combination_trains_in_a_folder_of_its_own(command, train_small, tmp_path):
    done = command(*SWEEP)
    assert done.returncode == 0, done.stderr
    assert list(lines(done)) == NAMES
    assert "Run 3 of 4, inner_step_size=0.2_seed=1" in done.stdout
    assert "Each run is in a folder of its own in " in done.stdout
    for name in NAMES:
        config, final = load_run_config(tmp_path / "run" / name), load_checkpoint(tmp_path / "run" / name)
        assert f"inner_step_size={config.meta_learner.inner_step_size}_seed={config.seed}" == name
        assert final.iteration == 2
        assert f" {final.environment_steps} " in lines(done)[name]
    own = ("--seed", "2", "--meta_learner.inner_step_size", "0.2", "--training.iterations", "2")
    alone = train_small(*own, "--run_dir", str(tmp_path / "alone")).state.parameters
    together = load_checkpoint(tmp_path / "run" / NAMES[3]).state.parameters
    assert all(torch.equal(value, together[name]) for name, value in alone.items())


def test_stopped_it_goes_on_and_finished_runs_are_skipped(command, tmp_path, monkeypatch):
    first = command(*SWEEP[:2], "--seeds", 1, *SWEEP[5:])
    stopped = tmp_path / "run" / NAMES[2]
    checkpoint = (stopped / "checkpoint.safetensors").read_bytes()
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    refused = command(*SWEEP)
    assert refused.returncode == 2
    assert "already holds a run; go on with it by --resume true" in refused.stderr
    (stopped / "checkpoint.safetensors").write_bytes(checkpoint)
    done = command(*SWEEP, "--resume", "true")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": finished before") == 2
    assert {path: path.read_bytes() for path in before} == before
    assert list(lines(done)) == NAMES
    assert {name: lines(done)[name] for name in lines(first)} == lines(first)
    longer = command(*SWEEP[:-1], 3, "--resume", "true", "--quiet")
    assert "finished before" not in longer.stdout
    assert longer.stdout.splitlines()[1] == "Return on evaluation tasks, by number of inner steps:"
    assert [load_checkpoint(tmp_path / "run" / name).iteration for name in NAMES] == [3] * 4


def test_what_cannot_be_built_is_told_before_anything_is_trained(command, tmp_path):
    done = command("--sweep", "policy.min_std=0.1,5")
    assert done.returncode == 2
    assert "policy.min_std: expected at most 1.0" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_run_that_breaks_down_is_named_and_the_others_go_on(command):
    done = command("--sweep", "meta_learner.inner_step_size=1e300,0.1", "--training.iterations", 1)
    assert done.returncode == 1
    assert list(lines(done)) == ["inner_step_size=0.1"]
    (error,) = done.stderr.splitlines()
    assert error.startswith("error: inner_step_size=1e300 broke down: metarl/PointNavigation-v0, task ")


def test_an_interrupt_says_how_to_go_on(command, small_config_file, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("metarl.commands.train.train", interrupted)
    done = command(*SWEEP)
    assert done.returncode == 130
    words = f"{small_config_file} --training.iterations 2 {SWEEP[0]} {SWEEP[1]} --seeds 1 2 --resume true"
    assert done.stdout.endswith(f"metarl train {words}\n")


def test_a_finished_run_is_left_alone(command, tmp_path):
    """Another end is trained for, and another setting refused."""
    command("--training.iterations", 1)
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    done = command("--training.iterations", 1, "--resume", "true")
    assert "is finished and evaluated" in done.stdout
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before
    other = command("--training.iterations", 1, "--sampling.episodes", 7, "--resume", "true")
    assert "sampling.episodes: expected" in other.stderr
    longer = command("--training.iterations", 2, "--resume", "true")
    assert "Trained for 2 iterations" in longer.stdout
