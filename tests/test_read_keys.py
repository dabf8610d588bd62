"""A key that is given has an effect, or reading says that it has none; saved configs leave such keys out."""

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

import metarl
from metarl.command import main
from metarl.errors import ConfigError
from metarl.experiment.config import read_config
from metarl.experiment.config_sections import key_types
from metarl.experiment.kinds import meta_kind, scratch_kind
from metarl.experiment.read_keys import conditions
from metarl.meta_learners.registry import META_LEARNERS
from metarl.policies.registry import POLICIES
from metarl.training.tensorboard.settings import hyperparameters
from tests.conftest import SMALL

MEMORY = {"rl2": "gru", "varibad": "belief", "pearl": "posterior", "recurrent_sac": "squashed_gru"}
BARE = {"environment": SMALL["environment"], "run_dir": "unused"}
IDLE = [
    ("maml", {"outer": "ppo"}, "trust_region.max_kl", 0.01, "meta_learner.outer ppo"),
    ("maml", {"outer": "ppo"}, "trust_region.max_kl", 0.5, "meta_learner.outer ppo"),
    ("anil", {}, "clipped.epochs", 3, "meta_learner.outer trpo"),
    ("cavia", {}, "clipped.schedule", "constant", "meta_learner.outer trpo"),
    ("maml", {"first_order": True}, "differentiated_steps", 1, "meta_learner.first_order true"),
    ("maml_pp", {"first_order": True}, "first_order_updates", 3, "meta_learner.first_order true"),
    ("maml_pp", {"inner_steps": 1}, "multi_step_updates", 3, "meta_learner.inner_steps 1"),
    ("promp", {}, "clipped.final_learning_rate", 1e-4, "meta_learner.clipped.schedule constant"),
    ("promp", {}, "clipped.schedule_updates", 0, "meta_learner.clipped.schedule constant"),
    ("reptile", {}, "final_outer_step_size", 0.1, "meta_learner.schedule constant"),
]


def refused(read):
    with pytest.raises(ConfigError) as raised:
        read()
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("given", ["file", "words", "mapping"])
@pytest.mark.parametrize(("name", "settings", "key", "value", "reason"), IDLE)
def test_a_key_that_another_one_leaves_without_effect_is_refused(name, settings, key, value, reason, given):
    base = {**BARE, "meta_learner": {"name": name, **settings}}
    read_config(base)
    key = f"meta_learner.{key}"

    def read():
        if given == "file":
            section, value_of = dict(base["meta_learner"]), value
            for part in reversed(key.split(".")[2:]):
                value_of = {part: value_of}
            section[key.split(".")[1]] = value_of
            return read_config({**base, "meta_learner": section})
        return read_config(base, [f"--{key}", str(value)] if given == "words" else {key: value})

    expected = f"{key}: expected none with {reason}, which does not read it; leave it out"
    assert refused(read) == (f"config: {expected}" if given == "file" else expected)


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        *((name, "sampling.advantages.discount", "0.99") for name in MEMORY),
        *((name, "training.tasks_at_once", "2") for name in MEMORY),
        *((name, "training.threads", "2") for name in MEMORY),
        *((name, "policy.normalise_observations", "true") for name in MEMORY),
        *((name, "policy.start_from", "zoo/point_navigation") for name in MEMORY),
        ("rl2", "policy.latent_size", "25"),
    ],
)
def test_what_a_learner_with_memory_does_not_read_is_refused(name, key, value):
    message = refused(lambda: read_config({**BARE, "meta_learner": {"name": name}}, [f"--{key}", value]))
    assert message.startswith(f"{key}: expected none with ")


@pytest.mark.parametrize("name", META_LEARNERS)
def test_a_learner_takes_its_policies_alone_and_has_one_by_itself(name):
    config = read_config({**BARE, "meta_learner": {"name": name}})
    assert config.policy.name == MEMORY.get(name, "gaussian_mlp")
    for other in set(POLICIES) - {config.policy.name}:
        words = ["--policy.name", other]
        message = refused(lambda words=words: read_config({**BARE, "meta_learner": {"name": name}}, words))
        assert "policy.name: expected " in message
        assert message.endswith(f", got {other} with meta_learner.name {name}")


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            {"sampling": {"tasks": 5, "training_tasks": 3}},
            "training_tasks: expected 0 or at least 5, the sampling.t",
        ),
        (
            {"meta_learner": {"name": "promp", "kl_target": 0.1, "kl_penalty": 0}},
            "meta_learner.kl_penalty: expected a number > 0 with a kl_target, got 0",
        ),
        ({"policy": {"min_std": 2.0}}, "policy.min_std: expected at most 1.0, the initial_std, got 2.0"),
        (
            {"meta_learner": {"name": "varibad", "belief_learning_rate": 1e38}},
            "meta_learner.belief_learning_rate: expected at most 1e+37, got 1e+38",
        ),
    ],
)
def test_what_cannot_be_built_is_told_where_it_is_read(section, message):
    assert message in refused(lambda: read_config({**BARE, "meta_learner": {"name": "maml"}, **section}))


def test_learning_from_scratch_reads_little_of_the_shared_sections():
    base = {**BARE, "from_scratch": {"algorithm": "sac"}}
    kept = read_config(base).as_dict()
    assert {**kept["training"], **kept["sampling"], **kept["policy"]}.keys() == {
        *("evaluation_tasks", "evaluation_episodes", "evaluation_steps", "num_threads"),
        *("hidden_sizes", "activation"),
    }
    for key in ("training.iterations", "sampling.tasks", "policy.initial_std"):
        assert f"{key}: expected none with from_scratch" in refused(
            lambda key=key: read_config(base, {key: 3})
        )


@pytest.mark.parametrize("name", META_LEARNERS)
def test_a_saved_config_has_no_key_without_effect_and_reads_as_the_same(name):
    config = read_config({**BARE, "meta_learner": {"name": name}})
    values = config.as_dict()
    assert not [key for key in config.unread if _in(values, key)]
    assert read_config(values) == config
    assert hyperparameters(values)


def _in(values, key):
    for part in key.split("."):
        if part not in values:
            return False
        values = values[part]
    return True


def test_an_override_of_a_made_config_leaves_out_what_it_makes_idle(train_small, small_config, tmp_path):
    made = small_config("--meta_learner.trust_region.max_kl", "0.02", "--training.iterations", "0")
    policy = metarl.train(made, overrides={"meta_learner.outer": "ppo"}, quiet=True)
    assert "trust_region" not in policy.experiment.config.as_dict()["meta_learner"]


def test_the_command_refuses_before_there_is_a_run_folder(small_config_file, tmp_path, monkeypatch, capsys):
    words = ["metarl", "train", str(small_config_file), "--meta_learner.clipped.epochs", "3"]
    monkeypatch.setattr("sys.argv", words)
    assert main() == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "clipped.epochs: expected none with meta_learner.outer trpo" in errors[0]
    assert not (tmp_path / "run").exists()


def test_declared_keys_are_keys():
    """Of the sections and of the settings in which they are declared."""
    kinds = [meta_kind(name, MEMORY.get(name, "gaussian_mlp")) for name in META_LEARNERS] + [scratch_kind()]
    for kind in kinds:
        types = key_types(kind.sections)
        assert set(kind.unread) <= set(types)
        for name, section in types.items():
            for key, condition in conditions(section).items() if isinstance(section, type) else ():
                assert (key if "." in key else f"{name}.{key}") in types
                assert {f"{name}.{other}" for other in condition} <= set(types)


@pytest.mark.parametrize(
    ("given", "key", "reason"),
    [
        ({"start_from": "some.zip"}, "policy.initial_std", "policy.start_from some.zip"),
        ({"start_from": "some.zip"}, "policy.output_gain", "policy.start_from some.zip"),
        ({"vectorization": "native"}, "sampling.timeout_seconds", "environment.vectorization native"),
        ({}, "sampling.timeout_seconds", "environment.vectorization auto"),
        ({"vectorization": "sync"}, "sampling.num_threads", "environment.vectorization sync"),
    ],
)
def test_a_key_that_another_section_leaves_without_effect_is_refused(given, key, reason):
    section = "policy" if "start_from" in given else "environment"
    base = {**BARE, "meta_learner": {"name": "maml"}}
    base[section] = {**base.get(section, {}), **given}
    message = refused(lambda: read_config(base, {key: 2.0 if section == "policy" else 2}))
    assert message == f"{key}: expected none with {reason}, which does not read it; leave it out"
    assert read_config({**base, "environment": {**base["environment"], "vectorization": "async"}})


def test_what_a_file_says_is_left_out_where_an_override_leaves_it_without_effect():
    base = {**BARE, "meta_learner": {"name": "maml", "trust_region": {"max_kl": 0.5}}}
    read = read_config(base, {"meta_learner.outer": "ppo"})
    assert read.meta_learner.trust_region.max_kl == 0.01
    assert "trust_region" not in read.as_dict()["meta_learner"]
    stated = {**base, "meta_learner": {**base["meta_learner"], "outer": "ppo"}}
    assert "trust_region.max_kl: expected none" in refused(lambda: read_config(stated))
    both = {"meta_learner.outer": "ppo", "meta_learner.trust_region.max_kl": 0.3}
    assert "trust_region.max_kl: expected none" in refused(lambda: read_config(base, both))


@dataclass(frozen=True)
class UsersConfig:
    mode: str = "a"
    strength: float = 1.0

    read_with: ClassVar[dict[str, Any]] = {"strength": {"mode": ("b",)}}


def users(policy, config: UsersConfig, task_map): ...


def test_a_users_settings_declare_in_the_same_way():
    base = {**BARE, "meta_learner": {"name": f"{__name__}:users"}}
    read = read_config(base, {"meta_learner.mode": "b", "meta_learner.strength": 2.0})
    assert "meta_learner.strength" not in read.unread
    message = refused(lambda: read_config(base, {"meta_learner.strength": 2.0}))
    assert "meta_learner.strength: expected none with meta_learner.mode a, which" in message
