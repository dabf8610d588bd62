"""The benchmark of what recording costs."""

import metarl
from metarl.benchmarks.recording import recording
from tests.conftest import SMALL


def test_shares_are_of_the_same_runs_iterations(tmp_path):
    config = {**SMALL, "run_dir": str(tmp_path / "run")}
    experiment = metarl.train(config, overrides=["--training.iterations", "0"], quiet=True).experiment
    rows = {row["name"]: row for row in recording(experiment, 2)}
    parts = zip(*(rows[f"its {name}"]["values"] for name in ("diagnostics", "row and charts")), strict=True)
    whole, shares = rows["iteration"]["values"], rows["these two, of an iteration"]["values"]
    assert len(shares) == 2
    for spent, (diagnostics, recorded), share in zip(whole, parts, shares, strict=True):
        assert 0 < diagnostics < spent
        assert share == 100 * (diagnostics + recorded) / spent
    assert rows["its charts and figures"]["median"] > rows["its charts alone"]["median"] > 0
