"""Runs of a comparison are judged beyond the range of training too, in tables of their own."""

import csv
import json

import yaml

from tests.comparison.conftest import compare, judged_file


def test_runs_are_judged_beyond_the_range_of_training_in_a_table_of_its_own(configs, tmp_path):
    """The runs are the same; tasks, table and title are others. From scratch, tasks are learned."""
    assert compare(configs[:2], tmp_path).returncode == 0
    found = compare(configs[:2], tmp_path, "--on", "out-of-distribution", "--scale", 2)
    assert found.returncode == 0, found.stderr
    assert "3 out-of-distribution tasks up to 2 times as wide" in found.stdout
    stem = "PointNavigation_out-of-distribution"
    tables = []
    for name in ("PointNavigation", stem):
        with (tmp_path / f"out/{name}.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        tables.append(sorted(rows, key=lambda row: (row["algorithm"], row["inner_steps"])))
    for inside, beyond in zip(*tables, strict=True):
        assert inside["mean_return"] != beyond["mean_return"]
        for same in ("algorithm", "inner_steps", "environment_steps", "seconds"):
            assert inside[same] == beyond[same]
    means = [row["mean_return"] for row in tables[1]]
    narrower = compare(configs[:2], tmp_path, "--on", "out-of-distribution")
    assert f"{stem}_scale=1.5" in narrower.stdout
    with (tmp_path / f"out/{stem}_scale=1.5.csv").open(newline="") as file:
        assert not {row["mean_return"] for row in csv.DictReader(file)} & {*means}
    again = compare(configs[:2], tmp_path, "--scale", 3)
    assert "3 held-out tasks" in again.stdout
    assert not list((tmp_path / "out").glob("*scale=3*"))
    refused = compare(configs[3:], tmp_path, "--on", "out-of-distribution")
    assert refused.returncode == 2
    assert "scratch: --on: expected held-out, as from scratch tasks are learned, got" in refused.stderr


def test_tables_and_returns_of_earlier_versions_which_knew_held_out_tasks_alone_serve(configs, tmp_path):
    """A table's settings say nothing of a list of tasks, nor does what was judged."""
    assert compare(configs[:1], tmp_path).returncode == 0
    settings = tmp_path / "out/PointNavigation.json"
    kept = {key: v for key, v in json.loads(settings.read_text()).items() if key not in ("on", "scale")}
    settings.write_text(json.dumps(kept))
    judged = judged_file(tmp_path / "out/PointNavigation/maml/seed_1")
    assert {"on", "scale"}.isdisjoint(json.loads(judged.read_text())["protocol"])
    before = judged.stat().st_mtime_ns
    table = (tmp_path / "out/PointNavigation.csv").read_text()
    done = compare(configs[:1], tmp_path, "--episodes", 3)
    assert "PointNavigation_episodes=3.md" in done.stdout
    assert (tmp_path / "out/PointNavigation.csv").read_text() == table
    assert compare(configs[:1], tmp_path).returncode == 0
    assert judged.stat().st_mtime_ns == before


def test_a_comparison_beyond_the_range_needs_tasks_there(configs, tmp_path):
    values = yaml.safe_load(configs[0].read_text())
    values["environment"] = {"id": "metarl/HalfCheetahDir-v0", "horizon": 3}
    configs[0].write_text(yaml.safe_dump(values))
    done = compare(configs[:1], tmp_path, "--on", "out-of-distribution")
    assert done.returncode == 2
    said = "maml: --on out-of-distribution --scale 1.5: environment: expected a task parameter with a range"
    assert said in done.stderr
    assert not (tmp_path / "out/HalfCheetahDir").exists()
