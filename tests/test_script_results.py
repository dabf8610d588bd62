"""What scripts leave in a run folder: nothing lost, nothing overwritten, nothing beside it."""

import json
import shlex
import sys

import pytest

from metarl.commands import evaluate as evaluate_command
from metarl.experiment.build import Experiment
from tests.support.warm_commands import ROOT, run_script
from tests.test_scripts import table, written

SMALL = ("--tasks", 3, "--steps", 1, "--episodes", 2)
pytestmark = pytest.mark.usefixtures("run_dir")


def test_no_evaluation_overwrites_another(run_dir):
    before = {path: path.read_bytes() for path in (run_dir / "evaluation").rglob("*") if path.is_file()}
    folders = [written(run_script("evaluate", run_dir, *SMALL, "--seed", seed)) for seed in (0, 1)]
    assert len({*folders}) == 2
    assert table(folders[0]) != table(folders[1])
    assert {path: path.read_bytes() for path in before} == before


def test_a_list_that_fails_costs_itself_alone(run_dir, tmp_path):
    (tmp_path / "bad.json").write_text('[{"goal": [9, 9]}]')
    lists = ("held-out", tmp_path / "bad.json", "dreams", "training")
    done = run_script("evaluate", run_dir, "--on", *lists, *SMALL)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 2
    assert f"--on {tmp_path / 'bad.json'}: task 0: task 'goal': expected a value in" in errors[0]
    assert "--on dreams: expected held-out" in errors[1]
    assert [row["tasks"] for row in table(written(done))] == ["held-out"] * 3 + ["training"] * 3
    assert "3 training tasks" in done.stdout


def test_a_list_is_written_as_soon_as_it_is_measured(run_dir, monkeypatch):
    original = Experiment.evaluate
    before = {*(run_dir / "evaluation").iterdir()}

    def evaluate(self, *arguments, where, **options):
        if "training" in where:
            raise KeyboardInterrupt
        return original(self, *arguments, where=where, **options)

    monkeypatch.setattr(Experiment, "evaluate", evaluate)
    monkeypatch.setattr(
        sys, "argv", ["evaluate", str(run_dir), "--on", "held-out", "training", *map(str, SMALL)]
    )
    with pytest.raises(KeyboardInterrupt):
        evaluate_command.main()
    (folder,) = {*(run_dir / "evaluation").iterdir()} - before
    assert [row["tasks"] for row in table(folder)] == ["held-out"] * 3
    assert json.loads((folder / "adaptation.json").read_text())["lists"]["held-out"]["tasks"] == 3


def commands(done):
    """Those that training prints at its end."""
    return [shlex.split(line) for line in done.stdout.splitlines() if line.startswith("  metarl ")]


@pytest.mark.parametrize("environment", ["metarl/HopperRandParams-v0", "metarl/HumanoidDir2D-v0"])
def test_the_command_that_training_prints_adapts(tmp_path, environment):
    folder = tmp_path / "a run"
    config = ("--config", ROOT / "configs/quickstart.yaml", "--run_dir", folder)
    small = "--sampling.tasks 2 --sampling.episodes 2 --environment.horizon 5 --training.iterations 1"
    tasks = "--training.evaluation_tasks 2 --training.evaluation_episodes 2 --training.figures false"
    done = run_script(
        "train",
        *config,
        "--environment.id",
        environment,
        *small.split(),
        *tasks.split(),
        "--environment.options",
        "{}",
    )
    assert done.returncode == 0, done.stderr
    command, _ = commands(done)  # to adapt, and to evaluate
    adapted = run_script("adapt", *command[2:-4], "--episodes", 2, "--steps", 1)
    assert adapted.returncode == 0, adapted.stderr
    (curve,) = (folder / "adaptation").iterdir()
    assert len(table(curve)) == 2
    (evaluation,) = (folder / "evaluation").iterdir()
    (first, _) = table(evaluation)
    kept = json.loads((folder / "held_out_task.json").read_text())
    numbers = [
        float(value) for key, value in first.items() if not key.startswith(("tasks", "return_", "beyond"))
    ]
    assert numbers == flat(list(kept.values()))


def flat(values):
    return [number for v in values for number in flat(v)] if isinstance(values, list) else [values]


DRIFT = ("--environment.id", "tests.support.tiny_envs:tests/Drift-v0", "--environment.vectorization", "sync")


def test_no_task_leads_out_of_the_run_folder(tmp_path, train_small):
    train_small(*DRIFT, "--environment.options", "{}", "--training.iterations", "1")
    before = {*tmp_path.rglob("*")}
    task = json.dumps({"velocity": 0.5, "../../x": 1, "/etc": 2, "y" * 300: 3})
    done = run_script("adapt", tmp_path / "run", "--task", task, "--episodes", 2, "--trust")
    assert done.returncode == 0, done.stderr
    made = {*tmp_path.rglob("*")} - before
    assert {path.parent.parent for path in made if path.is_file()} == {tmp_path / "run" / "adaptation"}
    assert len({path.parent for path in made if path.is_file()}) == 1


@pytest.mark.parametrize("task", ['{"velocity": "../../x"}', "{}", '{"velocity": [[1], [1, 2]]}'])
def test_a_task_is_of_numbers(tmp_path, train_small, task):
    train_small(*DRIFT, "--environment.options", "{}", "--training.iterations", "1")
    done = run_script("adapt", tmp_path / "run", "--task", task, "--episodes", 2, "--trust")
    assert done.returncode == 2
    assert done.stderr.startswith("error: --task: ")
    assert "Traceback" not in done.stderr


def test_a_policy_that_cannot_be_saved_costs_no_result(run_dir, tmp_path):
    folders = {*(run_dir / "adaptation").glob("*")}
    arguments = ("--task", '{"goal": [0.1, 0.2]}', "--episodes", 2, "--save", run_dir)
    done = run_script("adapt", run_dir, *arguments)
    assert done.returncode == 2
    assert "error: expected a folder of its own for the policy" in done.stderr
    assert "95 % interval" in done.stdout
    (folder,) = {*(run_dir / "adaptation").glob("*")} - folders
    assert len(table(folder)) == 2
