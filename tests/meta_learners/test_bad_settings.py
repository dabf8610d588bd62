"""Settings no learner can work with: one clear error each, and what was learned is kept."""

import csv

import pytest
import torch

import metarl
from metarl.build import build_experiment
from metarl.errors import ConfigError, TrainingError
from metarl.meta_learners.clipped import ClippedConfig
from metarl.meta_learners.learner import LearnerState
from metarl.meta_learners.registry import META_LEARNERS
from metarl.training.checkpoint import CHECKPOINT, load_checkpoint
from tests.tiny import sampled_meta_batch, tiny_learner, tiny_state

NAMES = sorted(META_LEARNERS)


def huge(name):
    """A step size whose second step overflows, or one beyond float32 itself.

    A context of 1e38 only saturates the hidden units.
    """
    return ("--meta_learner.inner_step_size", "1e39" if name in ("cavia", "meta_sgd") else "1e38")


def refused(small_config, *overrides):
    """The error's only line, from reading or building."""
    with pytest.raises(ConfigError) as raised:
        build_experiment(small_config(*overrides))
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("name", NAMES)
def test_no_inner_step(small_config, name):
    message = refused(small_config, "--meta_learner.name", name, "--meta_learner.inner_steps", "0")
    assert message.endswith("meta_learner.inner_steps: expected an integer > 0, got '0'")


@pytest.mark.parametrize("key", ["sampling.tasks", "sampling.episodes"])
def test_no_tasks_or_episodes(small_config, key):
    assert refused(small_config, f"--{key}=0").endswith(f"{key}: expected an integer > 0, got '0'")


@pytest.mark.parametrize(
    ("name", "outer", "message"),
    [
        ("promp", "trpo", "meta_learner.outer: expected ppo, promp's only one, got trpo"),
        ("maml_pp", "trpo", "meta_learner.outer: expected ppo, maml_pp's only one, got trpo"),
        ("reptile", "trpo", "meta_learner.outer: expected one of ['sgd', 'adam'], got 'trpo'"),
        ("maml", "adam", "meta_learner.outer: expected one of ['trpo', 'ppo'], got 'adam'"),
    ],
)
def test_an_outer_step_that_an_algorithm_cannot_use(small_config, name, outer, message):
    assert message in refused(small_config, "--meta_learner.name", name, "--meta_learner.outer", outer)


@pytest.mark.parametrize(
    ("name", "key", "value", "expected"),
    [
        ("maml", "clipped.clip", "1.5", "a number in (0, 1)"),
        ("maml", "clipped.epochs", "0", "an integer > 0"),
        ("maml", "differentiated_steps", "-1", "an integer >= 0"),
        ("e_maml", "credit_weight", "-1", "a number >= 0"),
        ("promp", "kl_penalty", "-1", "a number >= 0"),
        ("imaml", "regularisation", "0", "a number > 0"),
        ("imaml", "solver_steps", "0", "an integer > 0"),
        ("cavia", "context_size", "0", "an integer > 0"),
        ("reptile", "outer_step_size", "0", "a number > 0"),
        ("maml_pp", "schedule_updates", "-1", "an integer >= 0"),
    ],
)
def test_settings_out_of_range_name_their_key(small_config, name, key, value, expected):
    message = refused(small_config, "--meta_learner.name", name, f"--meta_learner.{key}={value}")
    assert f"meta_learner.{key}: expected {expected}" in message


@pytest.mark.parametrize("name", NAMES)
def test_a_setting_of_another_algorithm_is_unknown(small_config, name):
    key = "context_size" if name != "cavia" else "solver_steps"
    message = refused(small_config, "--meta_learner.name", name, f"--meta_learner.{key}", "3")
    assert f"meta_learner.{key}: expected one of the keys" in message


@pytest.mark.parametrize("name", NAMES)
def test_an_inner_step_that_overflows_is_named(train_small, name):
    what = "adapted parameters" if name in ("anil", "cavia", "meta_sgd") else "action"
    advice = r"try a smaller meta_learner\.inner_step_size"
    message = rf"PointNavigation.*task.*goal.*iteration 0: expected finite numbers, got {what}.*{advice}"
    with pytest.raises(TrainingError, match=message):
        train_small("--meta_learner.name", name, "--meta_learner.inner_steps", "2", *huge(name))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("maml_pp", "meta_sgd")])
def test_the_last_good_checkpoint_is_kept(train_small, tmp_path, name):
    """Two iterations with a step size that works, then one that does not."""
    run = ("--meta_learner.name", name, "--meta_learner.inner_steps", "2")
    train_small(*run, "--training.iterations", "2", "--meta_learner.inner_step_size", "0.125")
    folder = tmp_path / "run"
    before = (folder / CHECKPOINT).read_bytes()
    config = (folder / "config.yaml").read_text()
    assert config.count("inner_step_size: 0.125") == 1
    key, value = huge(name)
    edited = config.replace("inner_step_size: 0.125", f"inner_step_size: {float(value):.1e}")
    (folder / "config.yaml").write_text(edited)
    with pytest.raises(TrainingError, match="iteration 2: expected finite"):
        train_small(*run, key, value, resume=True)
    assert (folder / CHECKPOINT).read_bytes() == before
    assert load_checkpoint(folder).iteration == 2
    assert all(torch.isfinite(value).all() for value in metarl.load(folder).parameters.values())


def wild(name, size):
    """Adam's learning rate, or Reptile's way towards the adapted parameters."""
    if name == "reptile":
        return ("--meta_learner.outer_step_size", size)
    ppo = ("--meta_learner.outer", "ppo", "--meta_learner.clipped.epochs", "1")
    return (*ppo, "--meta_learner.clipped.learning_rate", size)


@pytest.mark.parametrize("size", ["1e4", "1e25", "1e37"])
@pytest.mark.parametrize("name", NAMES)
def test_a_wild_outer_step_is_rejected_and_the_kept_checkpoint_goes_on(
    train_small, small_config, tmp_path, name, size
):
    """Also where the parameters are finite, and so is the KL, but the policy's deviation is not."""
    run = ("--meta_learner.name", name, *wild(name, size))
    train_small(*run, "--training.iterations", "1")
    kept = load_checkpoint(tmp_path / "run")
    final = train_small(*run, "--training.iterations", "3", resume=True)
    with (tmp_path / "run" / "progress.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    key = "outer_step_size" if name == "reptile" else "clipped.learning_rate"
    assert final.iteration == len(rows) == 3
    for row in rows:
        assert row["update/rejection"].endswith(f": try a smaller meta_learner.{key}")
        assert (row["update/accepted"], row["update/kl"]) == ("0.0", "0.0")
    learner = build_experiment(small_config(*run)).learner
    start = learner.initial_state(torch.Generator().manual_seed(3))
    assert not final.state.optimiser
    for n, value in start.parameters.items():
        assert torch.equal(kept.state.parameters[n], value)
        assert torch.equal(final.state.parameters[n], value)


@pytest.mark.parametrize("name", NAMES)
def test_a_rejected_update_leaves_the_moments_as_they_were(name):
    outer = {"outer": "ppo", "clipped": ClippedConfig(epochs=1)}
    tame, _ = tiny_learner(name, 2, **({"outer": "adam"} if name == "reptile" else outer))
    size = {"outer": "adam", "outer_step_size": 1e20} if name == "reptile" else {"outer": "ppo"}
    if name != "reptile":
        size["clipped"] = ClippedConfig(epochs=2, learning_rate=1e20)
    theta = tiny_state(tame)
    batch = sampled_meta_batch(tame, theta)
    state = tame.update(LearnerState(theta), batch).state
    rejected = tiny_learner(name, 2, **size)[0].update(state, batch)
    assert rejected.rejection
    assert rejected.metrics["accepted"] == 0
    for before, after in zip(parts(state), parts(rejected.state), strict=True):
        assert list(before) == list(after)
        assert all(torch.equal(value, after[n]) for n, value in before.items())


def parts(state):
    return state.parameters, state.optimiser


@pytest.mark.parametrize("name", NAMES)
def test_a_learning_rate_that_adam_cannot_take_is_named(small_config, name):
    key = "outer_step_size" if name == "reptile" else "clipped.learning_rate"
    outer = ("--meta_learner.outer", "adam" if name == "reptile" else "ppo")
    message = refused(small_config, "--meta_learner.name", name, *outer, f"--meta_learner.{key}", "1e38")
    assert message == f"meta_learner.{key}: expected at most 1e+37, got 1e+38"
