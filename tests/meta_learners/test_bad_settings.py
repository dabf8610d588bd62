"""Settings no learner can work with: one clear error each, and what was learned is kept."""

import csv
from dataclasses import replace

import pytest
import torch

import metarl
from metarl.errors import ConfigError, TrainingError
from metarl.experiment.build import build_experiment
from metarl.meta_learners.inner.gradient_rules import STEP_SIZE
from metarl.meta_learners.learner import named_tensors
from metarl.runs.checkpoint import load_checkpoint, save_checkpoint
from metarl.runs.files import CHECKPOINT
from metarl.runs.run_config import config_digest
from tests.support.tiny import BY_GRADIENT, by_adam, inner_steps, sampled_meta_batch, tiny_learner, tiny_state

NAMES = BY_GRADIENT
HUGE = ("--meta_learner.inner_step_size", "1e39")
"""Beyond float32: whatever an inner step moves is not finite."""


def refused(small_config, *overrides):
    """The error's only line, from reading or building."""
    with pytest.raises(ConfigError) as raised:
        build_experiment(small_config(*overrides))
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("name", sorted({*NAMES} - {"multi_task"}))
def test_no_inner_step(small_config, name):
    message = refused(small_config, "--meta_learner.name", name, "--meta_learner.inner_steps", "0")
    assert message.endswith("meta_learner.inner_steps: expected an integer > 0, got '0'")


@pytest.mark.parametrize("key", ["sampling.tasks", "sampling.episodes"])
def test_no_tasks_or_episodes(small_config, key):
    assert refused(small_config, f"--{key}=0").endswith(f"{key}: expected an integer > 0, got '0'")


@pytest.mark.parametrize(
    ("name", "outer", "message"),
    [
        ("promp", "trpo", "meta_learner.outer: expected one of ['ppo'], got 'trpo'"),
        ("promp", "sgd", "meta_learner.outer: expected one of ['ppo'], got 'sgd'"),
        ("maml_pp", "trpo", "meta_learner.outer: expected one of ['ppo'], got 'trpo'"),
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
        ("maml_pp", "clipped.schedule_updates", "-1", "an integer >= 0"),
    ],
)
def test_settings_out_of_range_name_their_key(small_config, name, key, value, expected):
    message = refused(small_config, "--meta_learner.name", name, f"--meta_learner.{key}={value}")
    assert f"meta_learner.{key}: expected {expected}" in message


@pytest.mark.parametrize("name", NAMES)
def test_a_setting_of_another_algorithm_is_unknown(small_config, name):
    key = "context_size" if name != "cavia" else "solver_steps"
    message = refused(small_config, "--meta_learner.name", name, f"--meta_learner.{key}", "3")
    assert f"meta_learner.{key}: no such key" in message


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("imaml", "first_order", "true"),
        ("imaml", "recompute", "true"),
        ("imaml", "differentiated_steps", "1"),
        ("multi_task", "first_order", "true"),
        ("multi_task", "inner_steps", "2"),
        ("promp", "trust_region.max_kl", "0.02"),
        ("maml_pp", "trust_region.cg_iterations", "3"),
    ],
)
def test_a_setting_that_an_algorithm_does_not_read_is_unknown(small_config, name, key, value):
    message = refused(small_config, "--meta_learner.name", name, f"--meta_learner.{key}", value)
    assert f"meta_learner.{key}: no such key" in message


@pytest.mark.parametrize("name", NAMES)
def test_an_inner_step_that_overflows_is_named(train_small, name):
    """In an evaluation, where training takes none."""
    advice = r"try smaller steps: inner ones \(meta_learner\.inner_step_size\)"
    what = rf"expected finite numbers, got (adapted parameters|action).*{advice}"
    where = r"PointNavigation.*task.*goal.*(iteration 0|evaluation after 4 iterations)"
    with pytest.raises(TrainingError, match=f"{where}: {what}"):
        train_small("--meta_learner.name", name, *inner_steps(name, 2), *HUGE)


def is_used(name):
    """Whether training takes inner steps of the config's size, and not of learned ones."""
    learner, _ = tiny_learner(name, 2)
    return learner.inner_steps > 0 and not any(n.startswith(STEP_SIZE) for n in tiny_state(learner))


@pytest.mark.parametrize("name", [name for name in NAMES if is_used(name)])
def test_the_last_good_checkpoint_is_kept(train_small, tmp_path, name):
    """Two iterations with a step size that works, then one that does not."""
    run = ("--meta_learner.name", name, "--meta_learner.inner_steps", "2")
    train_small(*run, "--training.iterations", "2", "--meta_learner.inner_step_size", "0.125")
    folder = tmp_path / "run"
    done = load_checkpoint(folder)
    config = (folder / "config.yaml").read_text()
    assert config.count("inner_step_size: 0.125") == 1
    key, value = HUGE
    edited = config.replace("inner_step_size: 0.125", f"inner_step_size: {float(value):.1e}")
    (folder / "config.yaml").write_text(edited)
    save_checkpoint(folder, replace(done, config_digest=config_digest(folder)))
    before = (folder / CHECKPOINT).read_bytes()
    with pytest.raises(TrainingError, match="iteration 2: expected finite"):
        train_small(*run, key, value, resume=True)
    assert (folder / CHECKPOINT).read_bytes() == before
    assert load_checkpoint(folder).iteration == 2
    assert all(torch.isfinite(value).all() for value in metarl.load(folder).parameters.values())


def wild(name, size):
    """Adam's learning rate, or Reptile's way towards the adapted parameters."""
    if rate(name) == "outer_step_size":
        return ("--meta_learner.outer_step_size", size)
    ppo = ("--meta_learner.outer", "ppo", "--meta_learner.clipped.epochs", "1")
    return (*ppo, "--meta_learner.clipped.learning_rate", size)


def rate(name):
    """The key of an outer step's size."""
    return "clipped.learning_rate" if "clipped" in by_adam(name) else "outer_step_size"


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
    assert final.iteration == len(rows) == 3
    for row in rows:
        assert row["update/rejection"].endswith(f": try a smaller meta_learner.{rate(name)}")
        assert (row["update/accepted"], row["update/kl"]) == ("0.0", "0.0")
    learner = build_experiment(small_config(*run)).learner
    start = learner.initial_state(torch.Generator().manual_seed(3))
    assert not any(value.any() for value in named_tensors(final.state.optimiser).values())
    for n, value in start.parameters.items():
        assert torch.equal(kept.state.parameters[n], value)
        assert torch.equal(final.state.parameters[n], value)


@pytest.mark.parametrize("name", NAMES)
def test_a_rejected_update_leaves_the_moments_as_they_were(name):
    tame, _ = tiny_learner(name, 2, **by_adam(name))
    theta = tiny_state(tame)
    batch = sampled_meta_batch(tame, theta)
    state = tame.update(tame.start(theta), batch).state
    rejected = tiny_learner(name, 2, **by_adam(name, 1e20, epochs=2))[0].update(state, batch)
    assert rejected.rejection
    assert rejected.metrics["accepted"] == rejected.metrics["kl"] == 0
    for before, after in zip(parts(state), parts(rejected.state), strict=True):
        assert list(before) == list(after)
        assert all(torch.equal(value, after[n]) for n, value in before.items())


def parts(state):
    return state.parameters, named_tensors(state.optimiser)


@pytest.mark.parametrize("name", NAMES)
def test_a_learning_rate_that_adam_cannot_take_is_named(small_config, name):
    outer = ("--meta_learner.outer", by_adam(name)["outer"])
    key = f"meta_learner.{rate(name)}"
    message = refused(small_config, "--meta_learner.name", name, *outer, f"--{key}", "1e38")
    assert message == f"{key}: expected at most 1e+37, got 1e+38"
