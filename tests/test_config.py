import re
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml
from metarl_envs.tasks import unstack_tasks

from metarl.compute.task_map import TaskMap
from metarl.errors import ConfigError, RunError
from metarl.experiment.build import build_experiment
from metarl.experiment.config import read_config
from metarl.experiment.environments import held_out_tasks
from metarl.experiment.experiments import ScratchExperiment, SupervisedExperiment
from metarl.from_scratch.training import make_model, make_vec_env
from metarl.meta_learners.registry import META_LEARNERS
from metarl.runs.run_config import load_run_config, save_run_config
from metarl.supervised.data import glyphs
from metarl.training.examples.build import build_supervised
from tests.support.tiny import BY_GRADIENT, tiny_policy

DRAWING = ("instances", "rotation", "slant", "jitter", "drawing_seed")
CONFIGS = sorted((Path(__file__).parents[1] / "configs").rglob("*.yaml"))


@pytest.fixture(scope="module")
def drawn_once():
    """Glyphs of the same settings are drawn for the first config that has them."""
    draw, drawn = glyphs.draw_glyphs, {}

    def kept(config):
        settings = {name: value for name, value in asdict(config).items() if name in DRAWING}
        key = str(settings)
        if key not in drawn:
            drawn[key] = draw(config)
        return drawn[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(glyphs, "draw_glyphs", kept)
        yield


@pytest.mark.usefixtures("drawn_once")
@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_config_of_the_repository_builds(path):
    config = read_config(path)
    if path.parent.name == "meta_world":
        pytest.importorskip("metaworld")
    if isinstance(config, ScratchExperiment):
        task = held_out_tasks(config, 1, 0)
        make_model(config, make_vec_env(config, config.from_scratch.num_envs, next(unstack_tasks(task))), 0)
        return
    if isinstance(config, SupervisedExperiment):
        if config.names["data"] not in ("omniglot", "mini_imagenet"):
            build_supervised(config)
        return
    build_experiment(config)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_key_of_a_config_is_explained(path):
    settings = [line for line in path.read_text().splitlines() if re.match(r"\s*\w+: [^#\s]", line)]
    assert settings
    assert [line for line in settings if not re.search(r"\S +# \w+", line)] == []
    for line in settings:
        inline = re.search(r": \{(.*)\}", line)
        assert inline is None or "options:" in line, "expected a line and a comment for every key"


@pytest.mark.parametrize("environment", ["point_navigation", "half_cheetah_dir"])
def test_algorithms_are_compared_at_equal_environment_steps(environment):
    """Up to an iteration, and but for what trains nothing, or on the held-out tasks."""
    steps = []
    for path in (path for path in CONFIGS if path.parent.name == environment and path.stem != "random_init"):
        config = read_config(path)
        if isinstance(config, ScratchExperiment) or config.meta_learner_name not in BY_GRADIENT:
            continue
        learner = META_LEARNERS[config.meta_learner_name].build(tiny_policy(), config.meta_learner, TaskMap())
        a_rollout = config.sampling.tasks * config.sampling.episodes * config.environment.horizon
        steps.append(config.training.iterations * (learner.inner_steps + 1) * a_rollout)
    assert max(steps) - min(steps) <= 3 * a_rollout


@pytest.mark.parametrize(
    "path", [path for path in CONFIGS if path.stem == "maml_pp"], ids=lambda path: path.parent.name
)
def test_a_learning_rates_schedule_ends_with_training(path):
    config = read_config(path)
    supervised = isinstance(config, SupervisedExperiment)
    rate = config.learner.adam if supervised else config.meta_learner.clipped
    assert rate.schedule_updates in {config.training.iterations, 0 if supervised else -1}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["--sampling.tasks", "many"], "sampling.tasks: expected an integer > 0, got 'many'"),
        (["--sampling.tasks=0"], "sampling.tasks: expected an integer > 0, got '0'"),
        (
            ["--sampling.tasks", "3", "--seed", "1", "--sampling.tasks", "0"],
            "sampling.tasks: expected an integer > 0, got '0'",
        ),
        (
            ["--meta_learner.name", "reptile", "--meta_learner.clipped.epochs", "3"],
            "meta_learner.clipped.epochs: no such key; did you mean meta_learner.inner_steps? expected ",
        ),
        (
            ["--nothing.at.all", "3"],
            "nothing.at.all: no such key; expected one of the keys ['environment', 'meta_learner', ",
        ),
        (["--sampling.tsaks", "3"], "did you mean sampling.tasks?"),
        (["--samplign.tasks", "3"], "samplign.tasks: no such key"),
        (["--policy.activation", "gelu"], "policy.activation: expected one of ['tanh', 'relu'], got 'gelu'"),
        (["--policy.hidden_sizes", "[8, -1]"], "policy.hidden_sizes: expected an integer > 0"),
        (
            ["--meta_learner.name", "mamll"],
            f"meta_learner.name: expected one of {sorted(META_LEARNERS)}, or my_package:Thing, got 'mamll'",
        ),
        (
            ["--meta_learner.trust_region.max_kl", "0"],
            "meta_learner.trust_region.max_kl: expected a number > 0, got '0'",
        ),
        (["--sampling.advantages.discount", "1.5"], "discount: expected a number in [0, 1], got '1.5'"),
        (["--seed", "-1"], "seed: expected an integer >= 0, got '-1'"),
        (["--seed"], "seed"),
        (["--meta_learner.inner_step_size", "inf"], "meta_learner.inner_step_size: expected a finite"),
    ],
)
def test_a_wrong_override_is_one_line_with_key_expectation_and_finding(small_config_file, overrides, message):
    with pytest.raises(ConfigError) as raised:
        read_config(small_config_file, overrides)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        ("sampling", {"tsaks": 3}, "sampling.tsaks: no such key"),
        ("sampling", {"tasks": 2.5}, "sampling.tasks: expected an integer > 0, got 2.5"),
        ("smapling", {}, "smapling: no such key"),
        ("policy", 7, "policy: expected a section of keys, got 7"),
        ("environment", {"id": 3}, "environment.id: expected a value of type str, got 3"),
        ("meta_learner", {"name": None}, "meta_learner.name: expected one of"),
        ("meta_learner", {"trust_region": {"delta": 1}}, "trust_region"),
    ],
)
def test_a_wrong_file_is_one_line_too(small_config_file, section, change, message):
    values = yaml.safe_load(small_config_file.read_text())
    values[section] = {**values.get(section, {}), **change} if isinstance(change, dict) else change
    small_config_file.write_text(yaml.safe_dump(values))
    with pytest.raises(ConfigError) as raised:
        read_config(small_config_file)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["a: [", "- 1\n- 2", ""])
def test_no_config_at_all(tmp_path, text):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"x\.yaml"):
        read_config(tmp_path / "x.yaml")


def test_a_missing_section_names_its_key(small_config_file):
    values = yaml.safe_load(small_config_file.read_text())
    del values["environment"]["id"]
    small_config_file.write_text(yaml.safe_dump(values))
    with pytest.raises(ConfigError, match=r"environment\.id"):
        read_config(small_config_file)


def test_overrides_reach_nested_keys_and_scientific_numbers(small_config):
    config = small_config(
        "--meta_learner.trust_region.max_kl=1e-3",
        "--policy.hidden_sizes",
        "[4, 5]",
        "--environment.horizon",
        "9",
    )
    assert config.meta_learner.trust_region.max_kl == 1e-3
    assert config.policy.settings["hidden_sizes"] == (4, 5)
    assert config.environment.horizon == 9


@pytest.mark.parametrize("number", ["4e6", "4.0e6", "+40e5"])
def test_whole_numbers_may_have_an_exponent(small_config, small_config_file, number):
    """On a command line and in a file; floats that are written out stay floats."""
    word = f"--training.environment_steps={number}"
    assert small_config(word).training.environment_steps == 4_000_000
    text = small_config_file.read_text()
    small_config_file.write_text(text.replace("training:", f"training:\n  environment_steps: {number}"))
    assert small_config().training.environment_steps == 4_000_000
    with pytest.raises(ConfigError, match=re.escape("expected an integer >= 0, got '4.5'")):
        small_config("--training.environment_steps=4.5")
    optional = "meta_learner.trust_region.curvature_tasks"
    assert small_config(f"--{optional}=1e0").meta_learner.trust_region.curvature_tasks == 1
    assert isinstance(
        small_config("--environment.options={temperature: 1e2}").environment.options["temperature"], float
    )


def test_another_name_leaves_out_what_the_config_says_of_the_one_before(small_config, small_config_file):
    config = small_config("--meta_learner.name=rl2", "--meta_learner.epochs=3")
    assert (config.policy.name, config.meta_learner.epochs) == ("gru", 3)
    assert "hidden_sizes" not in config.policy.settings
    with pytest.raises(ConfigError, match=r"policy\.hidden_sizes: no such key"):
        small_config("--meta_learner.name=rl2", "--policy.hidden_sizes=[4]")
    text = small_config_file.read_text()
    small_config_file.write_text(text.replace("name: maml", "name: rl2"))
    with pytest.raises(ConfigError, match=r"inner_step_size: no such key"):
        small_config()


def test_the_last_of_several_overrides_counts(small_config):
    names = ("--meta_learner.name", "promp", "--meta_learner.name", "cavia")
    config = small_config(*names, "--sampling.tasks", "3", "--sampling.tasks", "5")
    assert config.meta_learner_name == "cavia"
    assert config.sampling.tasks == 5


def test_a_saved_config_reads_as_the_same(small_config, tmp_path):
    config = small_config("--sampling.advantages.gae_lambda", "0.9")
    save_run_config(tmp_path, config)
    assert load_run_config(tmp_path) == config
    assert "!" not in (tmp_path / "config.yaml").read_text()


def test_a_folder_without_a_config_is_no_run(tmp_path):
    with pytest.raises(RunError, match="expected a run folder"):
        load_run_config(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["--environment.id", "metarl/Nothing-v0"], "environment"),
        (["--environment.options", '{"presett": "maml"}'], "presett"),
        (["--environment.options", '{"preset": "rl2"}'], r"\['maml'\], got 'rl2'"),
        (
            [
                *("--environment.id", "Pendulum-v1", "--environment.options", "{}"),
                *("--environment.vectorization", "native"),
            ],
            'environment.vectorization: Pendulum-v1 is not .* expected "sync" or "async", got "native"',
        ),
        (
            [
                "--environment.id",
                "CartPole-v1",
                "--environment.options",
                "{}",
                "--environment.vectorization",
                "sync",
            ],
            "continuous",
        ),
        (["--training.device", "cuda:7"], "training.device: expected a device of this machine"),
        (["--training.device", "tpu"], "training.device: expected auto, cpu or cuda, got 'tpu'"),
    ],
)
def test_what_cannot_be_built_is_told(small_config, overrides, message):
    with pytest.raises(ConfigError, match=message):
        build_experiment(small_config(*overrides))
