"""The console command, and the wheel that brings it with the configs."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from metarl.command import COMMANDS
from metarl.errors import ConfigError
from metarl.experiment.shipped import CONFIGS, find_config, shipped_configs
from metarl.runs.files import VERSION
from tests.support.warm_commands import ROOT, run_metarl

SMALL = "--training.iterations 1 --sampling.tasks 2 --sampling.episodes 2 --environment.horizon 5"
SMALL += " --training.evaluation_tasks 2 --training.evaluation_episodes 2"


def metarl(*words, cwd, path=""):
    code = "import sys; from metarl.command import main; sys.exit(main())"
    environment = {**os.environ, "PYTHONPATH": path or f"{ROOT}{os.pathsep}{ROOT / 'envs'}"}
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


def test_the_commands_are_told(tmp_path):
    done = metarl("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert all(f"  {name}" in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_helps(tmp_path, name):
    start = metarl if name == "train" else run_metarl
    done = start(name, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert f"metarl {name}" in done.stdout


def test_a_shipped_config_is_found_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert {"quickstart", "point_navigation/maml_trpo"} <= {*shipped_configs()}
    assert find_config("quickstart") == CONFIGS / "quickstart.yaml"
    (tmp_path / "quickstart").write_text("seed: 1")
    assert find_config("quickstart") == Path("quickstart")
    with pytest.raises(ConfigError, match=r"or the name of a shipped .*did you mean point_navigation/promp"):
        find_config("point_navigation/prmp")


def test_the_wheel_trains_in_an_empty_folder(tmp_path):
    """Built from the source distribution, so that this has all that it needs."""
    source = ROOT
    for kind in ("sdist", "wheel"):
        build = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(tmp_path / kind)]
        subprocess.run(build, cwd=source, check=True, capture_output=True)
        (built,) = (tmp_path / kind).iterdir()
        if kind == "sdist":
            shutil.unpack_archive(built, tmp_path / "source", filter="data")
            (source,) = (tmp_path / "source").iterdir()
    wheel = built
    installed, empty = tmp_path / "installed", tmp_path / "empty"
    with zipfile.ZipFile(wheel) as file:
        file.extractall(installed)
        (metadata,) = (name for name in file.namelist() if name.endswith(".dist-info/METADATA"))
        assert f"Name: metarl-control\nVersion: {VERSION}\n" in file.read(metadata).decode()
        points = [name for name in file.namelist() if name.endswith("entry_points.txt")]
        assert "metarl = metarl.command:main" in file.read(points[0]).decode()
    empty.mkdir()
    done = metarl("train", "quickstart", *SMALL.split(), cwd=empty, path=str(installed))
    assert done.returncode == 0, done.stderr
    assert (empty / "runs/quickstart/policy.safetensors").is_file()
    assert "metarl adapt runs/quickstart --task runs/quickstart/held_out_task.json" in done.stdout
    zoo = installed / "metarl/zoo"
    shipped = {path: path.read_bytes() for path in zoo.rglob("*") if path.is_file()}
    task = ("--task", '{"goal": [0.1, 0.2]}')
    done = metarl("adapt", "zoo/point_navigation", *task, "--episodes", 2, cwd=empty, path=str(installed))
    assert done.returncode == 0, done.stderr
    results = "runs/zoo/point_navigation/adaptation/goal=0.1,0.2/adaptation.csv"
    assert (empty / results).is_file()
    assert f"The curve is in {results}" in done.stdout
    assert {path: path.read_bytes() for path in zoo.rglob("*") if path.is_file()} == shipped
