"""One process trains in a run folder at a time."""

import json
import signal

import pytest
import yaml

from metarl.errors import RunError
from metarl.runs.files import CHECKPOINT, LOCK
from metarl.runs.folder import hold_run_folder
from tests.from_scratch.conftest import SCRATCH
from tests.support.warm_commands import ROOT, run_script, start_script

BUSY = "run_dir: expected a folder of its own, but another process trains in "


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def foreign(tmp_path):
    settings = {
        "environment.id": "tests.support.tiny_envs:tests/Mortal-v0",
        "environment.options": json.dumps({"file": str(tmp_path / "no accident")}),
        "environment.vectorization": "async",
        "sampling.num_threads": 2,
    }
    return [word for key, value in settings.items() for word in (f"--{key}", str(value))]


@pytest.mark.parametrize("kind", ["native", pytest.param("async", marks=pytest.mark.slow)])
def test_the_second_process_is_told_and_a_killed_one_leaves_the_folder_free(
    small_config_file, tmp_path, kind
):
    run_dir = tmp_path / "run"
    options = foreign(tmp_path) if kind == "async" else []
    words = ["train", "--config", small_config_file, *options, "--training.iterations"]
    path = {"env": {"PYTHONPATH": f"{ROOT}:{ROOT / 'envs'}"}}
    with start_script(*words, 100_000, **path) as first:
        first.wait_until((run_dir / CHECKPOINT).exists)
        first.send_signal(signal.SIGSTOP)
        before = contents(run_dir)
        for resume in ("true", "false"):
            second = run_script(*words, 100_000, "--resume", resume, **path)
            assert second.returncode == 2
            assert second.stderr.startswith(f"error: {BUSY}{run_dir}; wait for it")
            assert second.stderr.count("\n") == 1
        assert contents(run_dir) == before
    assert first.returncode == -signal.SIGKILL
    rows = len((run_dir / "progress.csv").read_text().splitlines())
    resumed = run_script(*words, rows + 1, "--resume", "true", **path)
    assert resumed.returncode == 0, resumed.stderr
    assert len((run_dir / "progress.csv").read_text().splitlines()) == rows + 2


def test_learning_from_scratch_holds_its_folder_too(tmp_path):
    (tmp_path / "scratch.yaml").write_text(yaml.safe_dump({**SCRATCH, "run_dir": str(tmp_path / "run")}))
    words = ["train", "--config", tmp_path / "scratch.yaml"]
    with start_script(*words, "--from_scratch.environment_steps", 100_000_000) as first:
        first.wait_until((tmp_path / "run/config.yaml").exists)
        second = run_script(*words, "--resume", "true")
        assert first.poll() is None
    assert second.returncode == 2
    assert second.stderr.startswith(f"error: {BUSY}")
    with hold_run_folder(tmp_path / "run"):
        pass


def test_a_lock_that_was_left_is_no_contents(train_small, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / LOCK).touch()
    assert train_small("--training.iterations", "1", resume=True).iteration == 1


def test_a_folder_that_became_no_run_is_left_as_it_was(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter.txt").write_text("mine")
    for name in ("thesis", "fresh"):
        with pytest.raises(RuntimeError), hold_run_folder(tmp_path / name):
            raise RuntimeError
    assert contents(tmp_path) == {"chapter.txt": b"mine"}
    assert not (tmp_path / "fresh").exists()


def test_a_folder_is_held_within_a_process_too(tmp_path):
    with hold_run_folder(tmp_path), pytest.raises(RunError, match=BUSY), hold_run_folder(tmp_path):
        pass


def test_the_files_of_a_run_have_the_permissions_of_any_file(train_small, tmp_path):
    train_small("--training.iterations", "1")
    (tmp_path / "any file").touch()
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert len(files) > 5
    assert {path.stat().st_mode for path in files} == {(tmp_path / "any file").stat().st_mode}
