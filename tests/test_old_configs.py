"""Configs as version 0.1.0 wrote them are read as they were meant."""

import pytest
import yaml

from metarl.errors import ConfigError
from metarl.experiment.config import read_config

TRUST_REGION = {"max_kl": 0.01, "cg_iterations": 10, "cg_damping": 1e-05, "cg_tolerance": 1e-10}
UNREAD = {"first_order": False, "differentiated_steps": None, "recompute": False}


def read(small_config, tmp_path, **learner):
    values = small_config().as_dict()
    path = tmp_path / "old.yaml"
    path.write_text(yaml.safe_dump({**values, "meta_learner": learner}))
    return read_config(path).meta_learner


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("promp", {"trust_region": TRUST_REGION}),
        ("maml_pp", {"trust_region": TRUST_REGION}),
        ("imaml", UNREAD),
        ("multi_task", UNREAD),
    ],
)
def test_settings_that_an_algorithm_never_read_are_left_out(small_config, tmp_path, name, written):
    plain = read(small_config, tmp_path, name=name, inner_step_size=0.3)
    assert read(small_config, tmp_path, name=name, inner_step_size=0.3, **written) == plain
    for key, value in written.items():
        other = {**value, "max_kl": 0.02} if isinstance(value, dict) else 1
        with pytest.raises(ConfigError, match=f"meta_learner.{key}"):
            read(small_config, tmp_path, name=name, **{key: other})


def test_observations_are_normalised_in_either_spelling(small_config_file):
    values = yaml.safe_load(small_config_file.read_text())
    for spelling in ("normalise", "normalize"):
        policy = {**values.get("policy", {}), f"{spelling}_observations": True}
        assert read_config({**values, "policy": policy}).policy.normalise_observations


def test_maml_pps_schedule_is_its_outer_steps(small_config, tmp_path):
    old = {"schedule_updates": 7, "final_learning_rate": 1e-4, "clipped": {"epochs": 2}}
    clipped = read(small_config, tmp_path, name="maml_pp", **old).clipped
    assert (clipped.epochs, clipped.schedule_updates, clipped.final_learning_rate) == (2, 7, 1e-4)
    assert clipped.rate(7) == pytest.approx(1e-4)
    assert 1e-4 < clipped.rate(3) < clipped.rate(0) == clipped.learning_rate
    constant = read(small_config, tmp_path, name="maml_pp", **{**old, "schedule_updates": 0}).clipped
    assert constant.rate(50) == constant.learning_rate
