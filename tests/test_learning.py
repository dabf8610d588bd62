"""The algorithm learns, and a wrong meta-gradient does not."""

from pathlib import Path

import pytest

from metarl.experiment.build import build_experiment
from metarl.experiment.config import read_config
from metarl.training.run_start import prepare_run
from metarl.training.run_training import run_training

QUICKSTART = Path(__file__).parents[1] / "configs" / "quickstart.yaml"


def after_one_step(tmp_path, iterations: int) -> tuple[float, float]:
    overrides = ["--run_dir", str(tmp_path / "run"), "--training.iterations", str(iterations)]
    overrides += ["--training.figures", "false"]
    config = read_config(QUICKSTART, overrides)
    experiment = build_experiment(config)
    start = prepare_run(config, False, experiment)
    _, curve = run_training(experiment, start)
    return float(curve.mean[0]), float(curve.mean[1])


@pytest.mark.timeout(600)
def test_point_navigation_is_learned(tmp_path):
    before, after = after_one_step(tmp_path, iterations=12)
    assert after > -18
    assert after > before + 15
