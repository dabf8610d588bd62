"""`metarl.read_config`: of a file, a name or a mapping, with overrides as a mapping or as words."""

import copy
from pathlib import Path

import pytest

import metarl
from metarl.experiment.config import read_config
from tests.conftest import SMALL

GIVEN = {**SMALL, "run_dir": "runs/a"}


def test_a_file_a_name_and_a_mapping_read_alike(small_config_file, tmp_path):
    assert metarl.read_config is read_config
    by_file = metarl.read_config(small_config_file)
    assert by_file == metarl.read_config(str(small_config_file))
    assert by_file == metarl.read_config({**GIVEN, "run_dir": str(tmp_path / "run")})
    assert metarl.read_config("quickstart").run_dir == "runs/quickstart"
    assert metarl.read_config(by_file.as_dict()) == by_file


def test_overrides_are_a_mapping_or_words():
    mapping = {
        "training.iterations": 3,
        "policy.hidden_sizes": (4, 5),
        "meta_learner.name": "promp",
        "environment.options.preset": None,
        "run_dir": Path("runs/b"),
    }
    words = ["--training.iterations", "3", "--policy.hidden_sizes=[4, 5]", "--meta_learner.name", "promp"]
    words += ["--environment.options.preset", "null", "--run_dir", "runs/b"]
    config = metarl.read_config(GIVEN, mapping)
    assert config == metarl.read_config(GIVEN, words)
    assert (config.training.iterations, config.run_dir) == (3, "runs/b")
    assert config.meta_learner_name == "promp"
    assert config.meta_learner.inner_step_size == 0.1
    whole = metarl.read_config(GIVEN, {"meta_learner": {"name": "reptile"}})
    assert whole == metarl.read_config({**GIVEN, "meta_learner": {"name": "reptile"}})


def test_what_is_given_stays_as_it_is():
    given, options = copy.deepcopy(GIVEN), {"a": [1]}
    config = metarl.read_config(given, {"environment.options": options, "sampling.tasks": 7})
    config.environment.options["a"].append(2)
    assert given == GIVEN
    assert options == {"a": [1]}


@pytest.mark.parametrize(
    ("config", "overrides", "message"),
    [
        (
            GIVEN,
            {"training.iteration": 3},
            r"^training\.iteration: no such key; did you mean training\.iterations\?",
        ),
        (GIVEN, {"training.iterations": -1}, r"training\.iterations: expected an integer >= 0, got -1$"),
        (GIVEN, {"seed.x": 1}, r"^seed\.x: expected a section that holds it, got 3$"),
        (GIVEN, {"seed": None}, r"seed: expected an integer >= 0, got None$"),
        (
            GIVEN,
            "--seed 3",
            r"overrides: expected a mapping such as \{.*\} or a list of words, got '--s",
        ),
        ({**GIVEN, "policy": 3}, (), r"^config: policy: expected a section of keys, got 3$"),
        ({**GIVEN, 3: 4}, (), r"^config: 3: no such key; "),
        ({"seed": 3}, (), r"^config: meta_learner\.name: expected one of \["),
        ("quickstrat", (), "^expected a config file, or the name of a shipped .*; did you mean quickstart"),
    ],
)
def test_what_is_wrong_is_one_line(config, overrides, message):
    with pytest.raises(metarl.ConfigError, match=message) as raised:
        metarl.read_config(config, overrides)
    assert "\n" not in str(raised.value)


def test_what_was_read_before_leaves_nothing_in_what_is_read_next():
    plain = {"environment": {"id": "metarl/PointNavigation-v0", "horizon": 5}, "run_dir": "runs/a"}
    plain["meta_learner"] = {"name": "maml"}
    expected = copy.deepcopy(metarl.read_config(plain).as_dict())
    wanted = {"policy.hidden_sizes": [8, 8], "environment.options": {"preset": "maml", "list": [1]}}
    first = metarl.read_config(plain, wanted)
    first.environment.options["list"].append(2)
    assert metarl.read_config(plain).as_dict() == expected
    assert metarl.read_config(plain, wanted).environment.options["list"] == [1]
