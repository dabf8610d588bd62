"""Run folders whose config an earlier version wrote, with keys that stand elsewhere or nowhere today."""

import hashlib
import json
from dataclasses import replace

import pytest
import yaml

import metarl
from metarl.errors import RunError
from metarl.experiment.config import read_config
from metarl.meta_learners.outer.clipped import ClippedConfig
from metarl.runs.checkpoint import load_checkpoint, load_snapshots, save_checkpoint, save_snapshot
from metarl.runs.run_config import load_run_config

TRUST_REGION = {
    "max_kl": 0.01,
    "cg_iterations": 10,
    "cg_damping": 1e-5,
    "cg_tolerance": 1e-10,
    "backtrack_ratio": 0.8,
    "max_backtracks": 15,
}
CLIPPED = {"learning_rate": 1e-3, "epochs": 5, "clip": 0.3, "max_gradient_norm": 0.0}
DIFFERENTIATED = {"first_order": False, "differentiated_steps": None, "recompute": False}
WRITTEN = {
    "maml": {"clipped": {**CLIPPED, "epochs": 7}},
    "anil": {"clipped": CLIPPED, "first_order": True, "differentiated_steps": 1},
    "promp": {"trust_region": TRUST_REGION},
    "maml_pp": {"trust_region": TRUST_REGION, "schedule_updates": 9, "final_learning_rate": 1e-4},
    "imaml": {**DIFFERENTIATED, "clipped": CLIPPED},
    "multi_task": {**DIFFERENTIATED, "clipped": CLIPPED, "inner_steps": 2},
}
"""What it wrote beside the keys of today, at values that it admitted."""
OWN = {
    "anil": ("--meta_learner.first_order", "true"),
    "maml_pp": tuple(
        word
        for key, value in (("schedule", "cosine"), ("schedule_updates", "9"), ("final_learning_rate", "1e-4"))
        for word in (f"--meta_learner.clipped.{key}", value)
    ),
}
"""The overrides that give the same settings today."""
CHANGEABLE = {
    *("run_dir", "sampling.num_threads"),
    *(f"training.{key}" for key in ("iterations", "environment_steps", "checkpoint_every", "snapshot_every")),
    *(f"training.{key}" for key in ("threads", "table_every", "evaluate_every", "evaluation_tasks")),
    *("training.evaluation_episodes", "training.evaluation_steps"),
    *("meta_learner.environment_steps", "meta_learner.evaluation_interval", "meta_learner.deterministic"),
}
"""Of the version that first tied files to their config."""


def digest(values):
    """As that version told it."""
    fixed = {
        key: {own: item for own, item in value.items() if f"{key}.{own}" not in CHANGEABLE}
        if isinstance(value, dict)
        else value
        for key, value in values.items()
        if key not in CHANGEABLE
    }
    return hashlib.sha256(json.dumps(fixed, sort_keys=True, default=repr).encode()).hexdigest()[:12]


def overrides(name):
    return ("--meta_learner.name", name, "--training.snapshot_every", "90", *OWN.get(name, ()))


@pytest.fixture(params=list(WRITTEN))
def old(request, train_small, tmp_path):
    """(learner, run folder) of one iteration, as that version left it."""
    name, folder = request.param, tmp_path / "run"
    train_small(*overrides(name), "--training.iterations", "1")
    values = yaml.safe_load((folder / "config.yaml").read_text())
    learner = values["meta_learner"]
    if name == "maml_pp":
        learner["clipped"] = {**CLIPPED, "max_gradient_norm": 10.0}
    learner |= WRITTEN[name]
    values["sampling"].pop("timeout_seconds", None)
    for key in ("figures", "record_video_every"):
        del values["training"][key]
    checkpoint, snapshots = load_checkpoint_of(folder)
    (folder / "config.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    for snapshot in snapshots:
        save_snapshot(folder, replace(snapshot, config_digest=digest(values), description=None))
    save_checkpoint(folder, replace(checkpoint, config_digest=digest(values), description=None))
    return name, folder


def load_checkpoint_of(folder):
    return load_checkpoint(folder), load_snapshots(folder)


def test_it_loads_with_its_snapshots(old):
    _, folder = old
    assert metarl.load(folder).experiment.config.seed == 3
    metarl.load(folder, iteration=0)


@pytest.mark.parametrize("given", ["as today", "its own file"])
def test_it_is_resumed_and_loads_then(old, train_small, given):
    name, folder = old
    before = load_run_config(folder)
    if given == "as today":
        end = train_small(*overrides(name), "--training.iterations", "2", resume=True)
        assert end.iteration == 2
    else:
        file = str(folder / "config.yaml")
        metarl.train(file, overrides={"training.iterations": 2}, resume=True, quiet=True)
    assert load_checkpoint(folder).iteration == 2
    after = load_run_config(folder)
    assert after.meta_learner == before.meta_learner
    metarl.load(folder)
    metarl.load(folder, iteration=0)


def test_an_altered_config_is_still_refused(old, train_small):
    name, folder = old
    values = yaml.safe_load((folder / "config.yaml").read_text())
    values["meta_learner"]["inner_step_size"] = 0.7
    (folder / "config.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(RunError, match="was edited"):
        metarl.load(folder)
    with pytest.raises(RunError, match="was edited"):
        train_small(*overrides(name), "--meta_learner.inner_step_size", "0.7", resume=True)


def test_a_moved_folders_config_is_read_with_what_nothing_reads(old, tmp_path):
    _, folder = old
    moved = folder.rename(tmp_path / "moved")
    config = read_config(moved / "config.yaml", {"run_dir": str(tmp_path / "new"), "seed": 4})
    assert config.seed == 4
    assert getattr(config.meta_learner, "trust_region", None) is None or config.meta_learner.clipped == (
        ClippedConfig()
    )
