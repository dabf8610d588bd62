"""`metarl benchmark update` times any meta-learner's update."""

import pytest

import metarl
from metarl.benchmarks.update import plain_maml, update
from metarl.experiment.build import build_experiment
from tests.conftest import SMALL


def experiment(learner, **settings):
    sections = {**SMALL, "policy": {}, "meta_learner": {"name": learner, **settings}, "run_dir": "unused"}
    return build_experiment(metarl.read_config(sections))


@pytest.mark.parametrize("learner", ["reptile", "promp", "rl2", "pearl", "recurrent_sac"])
def test_another_learners_update_is_timed(learner):
    rows = update(experiment(learner), 1)
    assert [row["name"] for row in rows] == ["learner.update"]
    assert rows[0]["median"] > 0


def test_curvature_products_are_of_mamls_plain_steps():
    assert plain_maml(experiment("maml")) is not None
    for settings in ({"learn_step_size": True}, {"inner_steps": 2, "differentiated_steps": 1}):
        assert plain_maml(experiment("maml", **settings)) is None
    assert plain_maml(experiment("promp")) is None
