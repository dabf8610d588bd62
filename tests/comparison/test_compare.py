"""The script: same tasks and budget for all, nothing done twice, one table."""

import csv
import json
import signal

import numpy as np
import pytest
import yaml
from filelock import FileLock

import metarl
from metarl import read_config
from metarl.commands.comparison_plan import budget_of
from metarl.comparison.entries import difference
from metarl.runs.checkpoint import load_checkpoint
from metarl.runs.files import CHECKPOINT
from metarl.runs.run_config import load_run_config
from tests.comparison.conftest import BUDGET, command, compare, judged_file
from tests.support.warm_commands import WarmCommand


def test_a_table_of_all_and_nothing_is_done_twice(configs, tmp_path):
    readme = tmp_path / "README.md"
    start, end = "<!-- comparison: written by scripts/compare.py -->", "<!-- end of comparison -->"
    readme.write_text(f"before\n{start}\nold\n{end}\nafter\n")
    done = compare(configs, tmp_path, "--into", readme)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "out/PointNavigation"
    table = folder.with_suffix(".md").read_text()
    assert table in done.stdout
    budgets = (tmp_path / "out/PointNavigation_budgets.md").read_text()
    assert budgets in done.stdout
    assert all(budgets.count(f"| {name} |") == 2 for name in ("maml", "reptile"))
    assert "scratch" not in budgets
    assert readme.read_text() == f"before\n{start}\n\n{table}\n{end}\nafter\n"
    assert all(
        f"| {name} |" in table for name in ("maml", "reptile", "untrained", "scratch (2 of the tasks)")
    )
    assert folder.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"
    with folder.with_suffix(".csv").open(newline="") as file:
        rows = {(row["algorithm"], int(row["inner_steps"])): row for row in csv.DictReader(file)}
    assert len(rows) == 4 * 3
    assert {name: row["tasks"] for (name, _), row in rows.items()} == {
        "maml": "3",
        "reptile": "3",
        "untrained": "3",
        "scratch": "2",
    }
    first = json.loads(next((folder / "scratch/seed_2/tasks").glob("0000-*")).read_text())
    experiment = metarl.load(folder / "maml/seed_1").experiment
    assert first["protocol"]["task"]["goal"] == experiment.held_out_tasks(3, 0)["goal"][0].tolist()
    assert first["environment_steps"][-1] == BUDGET // 2 // 32 * 32
    judged = [json.loads(judged_file(folder / f"maml/seed_{seed}").read_text()) for seed in (1, 2)]
    expected = np.mean([np.mean(list(one["returns"].values())[-1][2]) for one in judged])
    assert float(rows["maml", 2]["mean_return"]) == pytest.approx(expected)
    assert [len(one["returns"]) for one in judged] == [3, 3]  # at the start, half-way and at the end
    steps = [load_checkpoint(folder / f"{name}/seed_1").environment_steps for name in ("maml", "reptile")]
    assert all(BUDGET <= count < BUDGET + 192 for count in steps)
    assert load_checkpoint(folder / "untrained/seed_1").environment_steps == 0
    kept = (CHECKPOINT, "tasks", "judged")
    files = sorted(path for path in folder.rglob("*") if {path.name, path.parent.name} & {*kept})
    before = {path: path.stat().st_mtime_ns for path in files}
    again = compare(configs, tmp_path)
    assert again.returncode == 0, again.stderr
    assert {path: path.stat().st_mtime_ns for path in files} == before
    assert table in again.stdout


def test_stopped_it_goes_on_to_the_same_table(configs, tmp_path):
    whole = compare(configs[:2], tmp_path, "--output", tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    first = tmp_path / "out/PointNavigation/maml/seed_1" / CHECKPOINT
    with WarmCommand(*command(configs[:2], tmp_path)) as process:
        process.wait_until(first.exists)
    assert process.returncode == -signal.SIGKILL
    resumed = compare(configs[:2], tmp_path)
    assert resumed.returncode == 0, resumed.stderr

    def returns(folder):
        with (tmp_path / folder / "PointNavigation.csv").open(newline="") as file:
            return [(row["algorithm"], row["mean_return"], row["low_95"]) for row in csv.DictReader(file)]

    assert returns("out") == returns("whole")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--budget", "many"], "--budget: expected a whole number of environment steps for PointNavigation"),
        (["--budget", "AntDir=100"], "for PointNavigation, got nothing but AntDir=100"),
        (["--budget", "PointNavigation=100", "Pointnavigation=9"], "environments among ['PointNavigation']"),
        (
            ["--budget", "100", "mamml=9"],
            "'scratch', 'untrained'], got mamml",
        ),
        (["--into", "CONFIG"], "--into: expected a file with the line"),
    ],
)
def test_bad_input_is_one_line(configs, tmp_path, options, message):
    filled = [configs[0] if word == "CONFIG" else word for word in options]
    done = compare(configs, tmp_path, *filled)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_configs_of_other_tasks_are_not_compared(configs, tmp_path):
    other = yaml.safe_load(configs[1].read_text())
    other["environment"]["horizon"] = 9
    configs[1].write_text(yaml.safe_dump(other))
    done = compare(configs, tmp_path)
    assert done.returncode == 2
    assert "environment.horizon: expected 8, got 9, to be compared with maml" in done.stderr
    other["environment"]["horizon"] = 8
    other["sampling"]["tasks"] = 5
    configs[1].write_text(yaml.safe_dump(other))
    done = compare([configs[3], configs[2], configs[0], configs[1]], tmp_path)
    assert done.returncode == 2
    assert "sampling.tasks: expected 3, got 5, to be compared with maml" in done.stderr
    twice = compare([configs[0], configs[0]], tmp_path)
    assert "expected configs of different names, got maml twice" in twice.stderr


def test_a_row_has_a_budget_of_its_own_where_one_is_named():
    given = ["4e6", "PointNavigation=1e6", "pearl=2e5"]
    budgets = [budget_of(*of) for of in (("AntDir", given), ("PointNavigation", given, "maml"))]
    assert budgets == [4_000_000, 1_000_000]
    assert budget_of("PointNavigation", given, "pearl") == 200_000


def test_every_row_may_have_a_budget_of_its_own(configs, tmp_path):
    done = compare(configs[:2], tmp_path, "--budget", "maml=700", "reptile=300", "--later_step_scale", 0.5)
    assert done.returncode == 0, done.stderr
    assert "until 700 environment steps" in done.stdout
    assert "| reptile (384 steps of training) |" in done.stdout
    compare(configs[:2], tmp_path, "--budget", "maml=700", "reptile=300", "--later_step_scale", 0.25)
    assert (tmp_path / "out/PointNavigation_later_step_scale=0.25.csv").is_file()


def test_policies_with_memory_are_compared_whatever_the_size_of_their_meta_batches():
    maml, anil, rl2 = (read_config(f"point_navigation/{name}") for name in ("maml_trpo", "anil", "rl2"))
    assert maml.sampling.tasks != rl2.sampling.tasks
    assert difference(maml, rl2) is difference(rl2, maml) is difference(maml, anil) is None
    wider = read_config("point_navigation/anil", {"sampling.tasks": 21})
    assert difference(maml, wider) == "sampling.tasks: expected 20, got 21"


def test_a_finished_run_does_not_serve_a_smaller_budget(configs, tmp_path):
    assert compare(configs[:1], tmp_path).returncode == 0
    smaller = compare(configs[:1], tmp_path, "--budget", 200)
    assert smaller.returncode == 2
    assert "maml, seed 1: " in smaller.stderr
    assert "expected a run that ends once 200 environment steps are taken" in smaller.stderr
    assert "compare.py keeps its runs in --output" in smaller.stderr
    untrained = yaml.safe_load(configs[0].read_text())
    untrained["training"]["iterations"] = 0
    configs[0].write_text(yaml.safe_dump(untrained))
    done = compare(configs[:1], tmp_path)
    assert done.returncode == 2
    assert "expected a policy without training, got one of 4 iterations" in done.stderr


def test_another_protocol_and_a_larger_budget_go_on(configs, tmp_path):
    """What was measured for another protocol is kept, and not taken for this one."""

    def columns(done, name="PointNavigation"):
        assert done.returncode == 0, done.stderr
        with (tmp_path / f"out/{name}.csv").open(newline="") as file:
            kept = ("algorithm", "inner_steps", "mean_return", "low_95", "environment_steps")
            return [[row[name] for name in kept] for row in csv.DictReader(file)]

    two = [configs[0], configs[3]]
    first = columns(compare(two, tmp_path))
    for options, name in ((["--episodes", 3], "episodes=3"), (["--deterministic"], "deterministic=True")):
        other = columns(compare(two, tmp_path, *options), f"PointNavigation_{name}")
        assert [row[0] for row in other if row not in first] != []
    assert columns(compare(two, tmp_path)) == first
    larger = columns(compare(two, tmp_path, "--budget", 1000))
    assert all(float(row[-1]) >= 1000 for row in larger if row[0] == "maml")


def test_costs_of_a_run_with_too_few_policies_are_bounds(configs, tmp_path):
    few = compare(configs[:1], tmp_path, "--evaluations", 1, "--target", -1000)
    assert "| 0 | 0.0 s |" in few.stdout
    many = compare(configs[:1], tmp_path, "--evaluations", 9, "--target", -1000)
    assert "| at most 0 | at most 0.0 s |" in many.stdout


def test_what_cannot_be_built_is_told_before_anything_is_trained(configs, tmp_path):
    bad = yaml.safe_load(configs[3].read_text())
    bad["from_scratch"]["settings"]["clip_range"] = "wide"
    configs[3].write_text(yaml.safe_dump(bad))
    done = compare([configs[0], configs[3]], tmp_path)
    assert done.returncode == 2
    assert "error: scratch: from_scratch.settings: expected what PPO takes" in done.stderr
    missing = yaml.safe_load(configs[1].read_text())
    missing["policy"]["start_from"] = str(tmp_path / "nothing.zip")
    configs[1].write_text(yaml.safe_dump(missing))
    done = compare(configs[:2], tmp_path)
    assert done.returncode == 2
    assert "error: reptile: policy.start_from" in done.stderr
    assert not (tmp_path / "out/PointNavigation").exists()


def test_a_run_that_breaks_down_is_named_and_the_others_go_on(configs, tmp_path):
    wild = yaml.safe_load(configs[0].read_text())
    wild["meta_learner"]["inner_step_size"] = 1e300
    configs[0].write_text(yaml.safe_dump(wild))
    done = compare(configs[:2], tmp_path)
    assert done.returncode == 1, done.stderr
    table = (tmp_path / "out/PointNavigation.md").read_text()
    assert "\n- maml, seed 1 broke down: metarl/PointNavigation-v0, task " in table
    assert "\n- maml, seed 2 broke down: " in table
    assert "| reptile |" in table
    assert "| maml |" not in table
    assert "error: 2 runs broke down" in done.stderr
    alone = compare(configs[:1], tmp_path)
    assert alone.returncode == 1
    assert "out: nothing" in alone.stdout
    assert not (tmp_path / "out/PointNavigation.md").exists()
    assert "Traceback" not in alone.stderr
    assert "maml, seed 2 broke down" in alone.stdout


def test_two_at_once_in_one_folder_are_kept_apart(configs, tmp_path):
    (tmp_path / "out").mkdir()
    with FileLock(tmp_path / "out/.lock"):
        done = compare(configs[:1], tmp_path)
    assert done.returncode == 2
    assert "where another compare.py is at work" in done.stderr


def test_an_oracle_is_compared_with_those_that_are_not_told(configs, tmp_path):
    told = yaml.safe_load(configs[0].read_text())
    told["meta_learner"] = {"name": "multi_task"}
    told["environment"]["options"]["observe_task"] = True
    (tmp_path / "oracle.yaml").write_text(yaml.safe_dump(told))
    done = compare([configs[0], tmp_path / "oracle.yaml"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "| oracle |" in done.stdout


def test_lost_rows_of_a_run_are_told(configs, tmp_path):
    assert compare(configs[:1], tmp_path).returncode == 0
    progress = tmp_path / "out/PointNavigation/maml/seed_2/progress.csv"
    progress.write_text("".join(progress.read_text().splitlines(keepends=True)[:2]))
    done = compare(configs[:1], tmp_path)
    assert done.returncode == 2
    assert "got none of 3, of iteration 1 first; delete the run's folder" in done.stderr


def test_swept_values_are_rows_of_their_own(configs, tmp_path):
    sweep = ("--sweep", "meta_learner.inner_step_size=0.1,0.2", "--seeds", 4, 6)
    done = compare(configs[:1], tmp_path, *sweep)
    assert done.returncode == 0, done.stderr
    for size in (0.1, 0.2):
        label = f"maml_inner_step_size={size}"
        assert f"| {label} |" in done.stdout
        for seed in (4, 6):
            config = load_run_config(tmp_path / f"out/PointNavigation/{label}/seed_{seed}")
            assert (config.meta_learner.inner_step_size, config.seed) == (size, seed)
    alike = compare(configs[:1], tmp_path, "--output", tmp_path / "one", "--sweep", "policy.min_std=0.01")
    assert "| maml |" in alike.stdout
    config = load_run_config(tmp_path / "one/PointNavigation/maml_min_std=0.01/seed_1")
    assert config.policy.settings["min_std"] == 0.01
    taken = compare(configs[:1], tmp_path, "--sweep", "training.iterations=1,2")
    assert taken.returncode == 2
    assert "--sweep: expected a key that the comparison does not set, got training.iterations" in taken.stderr
