"""`environment.vectorization: auto`, where a config does not say: what the environment can do."""

from contextlib import closing

import pytest
import yaml
from metarl_envs.foreign.foreign_vector_env import ForeignVectorEnv
from metarl_envs.vector_env import VectorTaskEnv

from metarl.errors import ConfigError, RunError
from metarl.experiment.environments import make_envs

FAMILY = "tests.user_package.family:metarl/BrakeAt-v0"
DRIFT = ("--environment.id", "tests/Drift-v0", "--environment.options", "{}")


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ((), VectorTaskEnv),
        (("--environment.id", FAMILY, "--environment.options", "{}"), VectorTaskEnv),
        (DRIFT, ForeignVectorEnv),
        (("--environment.id", "tests.tiny_envs:tests/Drift-v0", *DRIFT[2:]), ForeignVectorEnv),
        (("--environment.vectorization", "sync"), ForeignVectorEnv),
    ],
)
def test_metarls_families_are_batched_and_others_not(small_config, overrides, expected):
    config = small_config(*overrides)
    assert config.environment.vectorization == dict(zip(overrides[::2], overrides[1::2], strict=True)).get(
        "--environment.vectorization", "auto"
    )
    with closing(make_envs(config, 2)) as envs:
        assert type(envs) is expected


def test_a_module_that_is_not_there_is_told(small_config):
    with pytest.raises(ConfigError, match=r"^environment\.id: expected a module .*got 'no_such:A-v0'"):
        make_envs(small_config("--environment.id", "no_such:A-v0"), 1)


def test_a_run_that_said_what_is_the_default_is_resumed(train_small, tmp_path):
    """Version 0.1.0 wrote "native" into every config."""
    native = ("--environment.vectorization", "native")
    train_small(*native, "--training.iterations", "1")
    assert train_small("--training.iterations", "2", resume=True).iteration == 2
    saved = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert saved["environment"]["vectorization"] == "native"
    with pytest.raises(RunError, match=r"environment\.vectorization: expected 'native', .*, got 'sync'"):
        train_small("--environment.vectorization", "sync", resume=True)


def test_foreign_environments_train_without_being_asked_how(train_small):
    assert train_small(*DRIFT, "--training.iterations", "1").iteration == 1
