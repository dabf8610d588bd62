"""Training on labelled examples in a run folder, through the door of `metarl train`."""

import csv
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

import metarl
from metarl.command import main
from metarl.errors import ConfigError, RunError, TrainingError
from metarl.experiment.config import read_config
from metarl.runs.checkpoint import load_checkpoint
from metarl.runs.files import CHECKPOINT
from metarl.training.examples.run import finished_scores
from tests.support.tiny_supervised import tiny_values
from tests.support.warm_commands import start_metarl

ROOT = Path(__file__).parents[2]


def run(folder, overrides=(), **options):
    return metarl.train_supervised(tiny_values(folder), overrides=overrides, quiet=True, **options)


def rows(folder):
    with (folder / "progress.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def state(folder):
    found = load_checkpoint(folder).state
    return {**found.parameters, **{f"optimiser {name}": v for name, v in found.optimiser.items()}}


def assert_same_runs(one, other):
    expected, found = state(one), state(other)
    assert {*expected} == {*found}
    assert all(torch.equal(value, found[name]) for name, value in expected.items())
    untimed = [[{k: v for k, v in row.items() if "time" not in k} for row in rows(f)] for f in (one, other)]
    assert untimed[0] == untimed[1]


def test_a_run_is_a_folder_of_config_rows_checkpoint_and_evaluation(tmp_path):
    scores = run(tmp_path / "run", {"training.evaluate_every": 2})
    assert scores.of_tasks.shape == (6, 11)
    found = rows(tmp_path / "run")
    assert [int(row["iteration"]) for row in found] == list(range(5))
    assert all(float(row["update/loss"]) > 0 for row in found)
    told = [row["evaluation/accuracy_after_10_steps"] != "" for row in found]
    assert told == [False, True, False, True, False]
    assert yaml.safe_load((tmp_path / "run/config.yaml").read_text())["learner"]["name"] == "maml"
    assert load_checkpoint(tmp_path / "run").iteration == 5
    (summary,) = (tmp_path / "run/evaluation").glob("*/adaptation.json")
    kept = json.loads(summary.read_text())
    assert kept["mean"] == scores.mean.tolist()
    assert kept["protocol"]["transductive"] is True
    assert (kept["score"], kept["protocol"]["split"]) == ("accuracy", "test")
    assert list((tmp_path / "run").glob("events.out.tfevents.*"))


def test_a_resumed_run_is_the_uninterrupted_run(tmp_path):
    run(tmp_path / "whole")
    run(tmp_path / "halves", {"training.iterations": 3})
    run(tmp_path / "halves", resume=True)
    assert_same_runs(tmp_path / "whole", tmp_path / "halves")


def test_a_killed_run_goes_on_to_the_same_bits(tmp_path):
    """Killed at any moment: rows behind the last checkpoint come again."""
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tiny_values(tmp_path / "killed")))
    with start_metarl("train", tmp_path / "tiny.yaml", "--training.iterations", 1000) as child:
        child.wait_until((tmp_path / "killed" / CHECKPOINT).is_file)
    assert child.returncode == -signal.SIGKILL, "expected the run to be killed before its end"
    longer = {"training.iterations": len(rows(tmp_path / "killed")) + 2}
    run(tmp_path / "killed", longer, resume=True)
    run(tmp_path / "whole", longer)
    assert_same_runs(tmp_path / "whole", tmp_path / "killed")


def test_a_finished_run_is_found_and_not_measured_twice(tmp_path):
    config = read_config(tiny_values(tmp_path / "run"))
    assert finished_scores(config) is None
    scores = run(tmp_path / "run")
    found = finished_scores(config)
    assert found is not None
    assert found.mean.tolist() == pytest.approx(scores.mean.tolist())
    run(tmp_path / "run", resume=True)
    assert len(list((tmp_path / "run/evaluation").iterdir())) == 1


def test_the_command_trains_and_tells_scores(tmp_path, monkeypatch, capsys):
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tiny_values(tmp_path / "run")))
    monkeypatch.setattr(sys, "argv", ["metarl", "train", str(tmp_path / "tiny.yaml"), "--seeds", "1", "2"])
    assert main() == 0
    out = capsys.readouterr().out
    assert "Scores, by number of inner steps" in out
    assert (tmp_path / "run/seed=1/evaluation").is_dir()
    monkeypatch.setattr(
        sys, "argv", ["metarl", "train", str(tmp_path / "tiny.yaml"), "--run_dir", str(tmp_path / "a")]
    )
    assert main() == 0
    out = capsys.readouterr().out
    assert "Scores on 6 test tasks, normalised by the queries (transductive):" in out


def test_a_folder_of_another_run_is_refused(tmp_path):
    run(tmp_path / "run")
    with pytest.raises(RunError, match="already holds a run"):
        run(tmp_path / "run")
    with pytest.raises(RunError, match=r"learner\.inner_step_size: expected 0.4, as the run"):
        run(tmp_path / "run", {"learner.inner_step_size": 0.1}, resume=True)


def test_what_is_not_finite_ends_the_training_and_keeps_what_was(tmp_path):
    with pytest.raises(TrainingError, match=r"maml, iteration \d: expected finite numbers"):
        run(tmp_path / "run", {"learner.adam.learning_rate": 1e36})
    assert (tmp_path / "run" / CHECKPOINT).is_file()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"learner.name": "mamll"}, "did you mean maml?"),
        ({"learner.stepsize": 1}, "learner.stepsize: no such key"),
        ({"data.ways": 1}, "data.ways: expected 2 or more classes, got 1"),
        ({"meta_learner.name": "maml"}, "learner: expected this section or meta_learner, got both"),
        ({"learner.adam.final_learning_rate": 1e-4}, "expected none with learner.adam.schedule constant"),
        ({"training.evaluation_tasks": 1}, "training.evaluation_tasks: expected 2 or more"),
    ],
)
def test_a_wrong_key_is_one_line(tmp_path, overrides, message):
    with pytest.raises(ConfigError) as raised:
        read_config(tiny_values(tmp_path / "run"), overrides)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_python_takes_a_config_that_is_read_and_overrides_of_it(tmp_path):
    config = read_config(tiny_values(tmp_path / "a"))
    scores = metarl.train_supervised(config, overrides={"training.iterations": 1}, quiet=True)
    assert len(rows(tmp_path / "a")) == 1
    again = metarl.train_supervised(
        tiny_values(tmp_path / "b"), overrides=["--training.iterations=1"], quiet=True
    )
    assert again.mean.tolist() == scores.mean.tolist()


def test_python_names_what_trains_the_other_kind(tmp_path):
    with pytest.raises(ConfigError, match="learner: expected this section, got environment, in which"):
        metarl.train_supervised("quickstart")
    with pytest.raises(ConfigError, match=r"metarl\.train_supervised and metarl train run it"):
        metarl.train(tiny_values(tmp_path / "run"))
    with pytest.raises(TypeError, match="resume: expected bool, got str"):
        metarl.train_supervised(tiny_values(tmp_path / "run"), resume="yes")


def test_a_saved_config_reads_as_the_same(tmp_path):
    config = read_config(tiny_values(tmp_path / "run"))
    assert read_config(config.as_dict()) == config


def test_control_imports_nothing_that_learns_examples():
    code = "import metarl, sys; metarl.read_config('quickstart'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    found = {name for name in done.stdout.split() if name.startswith("metarl.supervised.")}
    assert found == {"metarl.supervised.names", "metarl.supervised.section"}
