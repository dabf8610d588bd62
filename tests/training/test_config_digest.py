"""A run's policy, checkpoint, snapshots and config belong together."""

import shutil
import warnings
from dataclasses import replace

import pytest
import yaml

import metarl
from metarl.errors import ConfigError, RunError
from metarl.experiment.build import build_experiment
from metarl.runs.checkpoint import load_checkpoint, load_snapshots, save_checkpoint, save_snapshot
from metarl.runs.files import CHECKPOINT, POLICY
from metarl.runs.run_config import config_digest
from metarl.runs.starting_point import initial_state

EDITED = (
    r"expected the policy of the config beside it \(digest \w+\), got one of digest \w+: config\.yaml was"
)


@pytest.fixture
def run_dir(train_small, tmp_path):
    train_small("--training.iterations", "1", "--training.snapshot_every", "100")
    return tmp_path / "run"


def edit(folder, key, value):
    values = yaml.safe_load((folder / "config.yaml").read_text())
    section, own = key.split(".")
    values[section].pop(own)
    if value is not None:
        values[section][own] = value
    (folder / "config.yaml").write_text(yaml.safe_dump(values))


def test_another_algorithms_policy_of_the_same_shapes_is_refused(train_small, tmp_path, run_dir):
    train_small("--meta_learner.name", "e_maml", "--run_dir", str(tmp_path / "other"))
    for name in (POLICY, CHECKPOINT):
        shutil.copy(tmp_path / "other" / name, run_dir / name)
    with pytest.raises(RunError, match=rf"run/{POLICY}: {EDITED}"):
        metarl.load(run_dir)
    with pytest.raises(RunError, match=rf"run/{CHECKPOINT}: {EDITED}"):
        train_small("--training.snapshot_every", "100", resume=True)


def test_an_edited_config_is_believed_nowhere(train_small, small_config, tmp_path, run_dir):
    edit(run_dir, "meta_learner.inner_step_size", 0.7)
    edited = ("--meta_learner.inner_step_size", "0.7", "--training.snapshot_every", "100")
    before = (run_dir / "config.yaml").read_bytes()
    for read in (metarl.load, load_checkpoint, load_snapshots, lambda run: metarl.load(run, iteration=0)):
        with pytest.raises(RunError, match=EDITED):
            read(run_dir)
    with pytest.raises(RunError, match=EDITED):
        train_small(*edited, resume=True)
    started = build_experiment(small_config("--policy.start_from", str(run_dir)))
    with pytest.raises(ConfigError, match=rf"^policy\.start_from: .*{EDITED}"):
        initial_state(started)
    assert (run_dir / "config.yaml").read_bytes() == before


def test_what_may_change_at_a_resume_may_be_edited(run_dir):
    edit(run_dir, "training.iterations", 7)
    edit(run_dir, "sampling.num_threads", 1)
    assert metarl.load(run_dir).experiment.config.training.iterations == 7


def test_a_resume_keeps_the_config_but_for_what_may_change(train_small, run_dir):
    """A key that a later version brings stays out of the file, and the digest of a run the same."""
    edit(run_dir, "meta_learner.recompute", None)
    save_checkpoint(run_dir, replace(load(run_dir), config_digest=config_digest(run_dir)))
    shutil.rmtree(run_dir / "snapshots")
    digest = config_digest(run_dir)
    train_small("--training.iterations", "3", resume=True)
    values = yaml.safe_load((run_dir / "config.yaml").read_text())
    assert "recompute" not in values["meta_learner"]
    assert (values["training"]["iterations"], values["training"]["snapshot_every"]) == (3, 0)
    assert config_digest(run_dir) == digest == load_checkpoint(run_dir).config_digest
    metarl.load(run_dir)


def load(folder):
    """The checkpoint in a folder whose config was changed on purpose."""
    config = (folder / "config.yaml").read_text()
    values = yaml.safe_load(config)
    values["meta_learner"]["recompute"] = False
    (folder / "config.yaml").write_text(yaml.safe_dump(values))
    found = load_checkpoint(folder)
    (folder / "config.yaml").write_text(config)
    return found


def test_files_of_version_0_1_0_load_with_one_warning_and_a_resume_ties_them(train_small, run_dir):
    for snapshot in load_snapshots(run_dir):
        save_snapshot(run_dir, replace(snapshot, config_digest=None))
    save_checkpoint(run_dir, replace(load_checkpoint(run_dir), config_digest=None))
    edit(run_dir, "training.table_every", 3)
    for read in (metarl.load, load_checkpoint, load_snapshots, lambda run: metarl.load(run, iteration=0)):
        with pytest.warns(UserWarning, match=r"0\.1\.0, .* cannot be checked; .*--resume true") as warned:
            read(run_dir)
        assert len(warned) == 1
    settings = ("--training.iterations", "1", "--training.snapshot_every", "100")
    with pytest.warns(UserWarning, match="cannot be checked"):
        train_small(*settings, resume=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metarl.load(run_dir, iteration=0)
        metarl.load(run_dir)
        train_small(*settings, resume=True)


def test_a_saved_policy_is_tied_to_the_config_that_is_saved_with_it(run_dir, tmp_path):
    changed = {"later_step_scale": 0.5, "environment_options": {"out_of_distribution": 2.0}}
    metarl.load(run_dir, **changed).save(tmp_path / "saved")
    saved = metarl.load(tmp_path / "saved").experiment.config
    assert saved.meta_learner.later_step_scale == 0.5
    assert saved.environment.options["out_of_distribution"] == 2.0
    edit(tmp_path / "saved", "meta_learner.later_step_scale", 0.25)
    with pytest.raises(RunError, match=EDITED):
        metarl.load(tmp_path / "saved")


def test_a_config_of_no_mapping_is_told(run_dir):
    (run_dir / "config.yaml").write_text("- 1\n")
    with pytest.raises(RunError, match="expected sections"):
        load_checkpoint(run_dir)
    (run_dir / "config.yaml").unlink()
    with pytest.raises(RunError, match="expected a run folder with config"):
        load_checkpoint(run_dir)


@pytest.mark.parametrize("untied", [POLICY, CHECKPOINT])
def test_a_file_without_a_digest_among_files_with_one_is_another_runs(train_small, run_dir, tmp_path, untied):
    train_small("--meta_learner.name", "anil", "--run_dir", str(tmp_path / "old"))
    save_checkpoint(tmp_path / "old", replace(load_checkpoint(tmp_path / "old"), config_digest=None))
    shutil.copy(tmp_path / "old" / untied, run_dir / untied)
    read = metarl.load if untied == POLICY else load_checkpoint
    with pytest.raises(RunError, match=r"expected files of one run, got .* beside others of version 0\.1\.0"):
        read(run_dir)
