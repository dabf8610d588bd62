"""The benchmark of what recording costs."""

import pytest

import metarl
from metarl.benchmarks.recording import recording
from tests.conftest import SMALL


def test_shares_are_of_the_same_runs_iterations(tmp_path):
    config = {**SMALL, "run_dir": str(tmp_path / "run")}
    own = [
        "--training.iterations",
        "0",
        "--training.evaluate_every",
        "4",
        "--training.record_video_every",
        "0",
    ]
    experiment = metarl.train(config, overrides=own, quiet=True).experiment
    rows = {row["name"]: row for row in recording(experiment, 2)}
    parts = zip(*(rows[f"its {name}"]["values"] for name in ("diagnostics", "row and charts")), strict=True)
    whole, shares = rows["iteration"]["values"], rows["these two, of an iteration"]["values"]
    assert len(shares) == 2
    for spent, (diagnostics, recorded), share in zip(whole, parts, shares, strict=True):
        assert 0 < diagnostics < spent
        assert share == 100 * (diagnostics + recorded) / spent
    assert rows["its charts and figures"]["median"] > rows["its charts alone"]["median"] > 0
    found = {name: row["median"] for name, row in rows.items()}
    assert found["a film, with the adaptation that it shows"] > 0
    evaluations = 100 * found["evaluation"] / 4 / found["iteration"]
    assert found["its evaluations"] == pytest.approx(evaluations)
    figures = found["its charts and figures"] / 4 + found["frames at the end of a run"]
    records = found["these two, of an iteration"] + 100 * figures / found["iteration"]
    assert found["records of a run: rows, charts, figures, frames, films"] == pytest.approx(records)
    assert found["all of these"] == pytest.approx(records + evaluations)
