"""Meta-policies on the Hugging Face Hub, which a folder stands for here: no network is used."""

import shutil
import sys
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import metarl
from metarl.command import main
from metarl.runs.card import read_card
from metarl.runs.places import ZOO

NAME = "somebody/point"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The folder of all repositories, served by a stand-in for the package's three functions."""
    folder = tmp_path / "hub"

    def create_repo(repo_id, *, private, exist_ok):
        (folder / repo_id).mkdir(parents=True, exist_ok=exist_ok)
        (folder / repo_id / ".private").write_text(f"{private}")

    def upload_folder(*, repo_id, folder_path, allow_patterns):
        copy(Path(folder_path), folder / repo_id, allow_patterns)

    def snapshot_download(*, repo_id, allow_patterns):
        if not (folder / repo_id).is_dir():
            raise OSError(f"404 Client Error\nRepository Not Found: {repo_id}")
        copy(folder / repo_id, tmp_path / "cache" / repo_id, allow_patterns)
        return str(tmp_path / "cache" / repo_id)

    def copy(source, target, patterns):
        target.mkdir(parents=True, exist_ok=True)
        for path in source.iterdir():
            if any(fnmatch(path.name, pattern) for pattern in patterns):
                shutil.copy(path, target / path.name)

    package = SimpleNamespace(
        create_repo=create_repo, upload_folder=upload_folder, snapshot_download=snapshot_download
    )
    monkeypatch.setitem(sys.modules, "huggingface_hub", package)
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def metarl_command(monkeypatch, capsys):
    def run(*words):
        monkeypatch.setattr(sys, "argv", ["metarl", *map(str, words)])
        return main(), capsys.readouterr()

    return run


def same(policy, other):
    return all(torch.equal(value, other.parameters[name]) for name, value in policy.parameters.items())


def test_one_of_the_zoo_is_pushed_with_its_card(hub, metarl_command):
    code, printed = metarl_command("push", "zoo/point_navigation", f"hf://{NAME}")
    assert code == 0, printed.err
    assert f'metarl.load("hf://{NAME}")' in printed.out
    assert read_card(hub / NAME) == read_card(ZOO / "point_navigation")
    assert f'metarl.load("hf://{NAME}")' in (hub / NAME / "README.md").read_text()
    assert (hub / NAME / ".private").read_text() == "False"
    loaded = metarl.load(f"hf://{NAME}")
    assert same(loaded, metarl.load("zoo/point_navigation"))
    assert metarl.evaluate(loaded, tasks=2, episodes=2, steps=1).curve.returns.shape == (2, 2)


def test_a_run_is_evaluated_and_pushed(hub, metarl_command, train_small, tmp_path):
    train_small("--training.iterations", "1")
    few = ("--tasks", 3, "--episodes", 2, "--steps", 1, "--seed", 4)
    code, printed = metarl_command("push", tmp_path / "run", f"hf://{NAME}", "--private", *few)
    assert code == 0, printed.err
    card = read_card(hub / NAME)
    curve = metarl.evaluate(tmp_path / "run", tasks=3, episodes=2, steps=1, seed=4).curve
    assert list(card.mean_return) == pytest.approx(curve.mean.tolist())
    assert card.licence == ""
    assert (hub / NAME / ".private").read_text() == "True"
    assert same(metarl.load(f"hf://{NAME}"), metarl.load(tmp_path / "run"))


def test_commands_take_a_repository(hub, metarl_command, tmp_path):
    metarl_command("push", "zoo/point_navigation", f"hf://{NAME}")
    task = ("--task", '{"goal": [0.1, 0.2]}')
    code, printed = metarl_command("adapt", f"hf://{NAME}", *task, "--episodes", 2)
    assert code == 0, printed.err
    assert (tmp_path / f"runs/hf/{NAME}/adaptation/goal=0.1,0.2/adaptation.csv").is_file()


@pytest.mark.parametrize("name", ["hf://point", "hf://a/b/c", "hf://../b", "runs/quickstart"])
def test_what_is_no_repository_is_told(hub, metarl_command, name):
    code, printed = metarl_command("push", "zoo/point_navigation", name)
    assert code == 2
    assert "error: expected a repository of the Hugging Face Hub, hf://OWNER/NAME, got" in printed.err


def test_a_repository_that_cannot_be_had_is_told_in_one_line(hub, metarl_command):
    with pytest.raises(metarl.RunError, match=r"hf://a/b, could not download it: 404 Client Error; check"):
        metarl.load("hf://a/b")
    hub.mkdir()
    (hub / "somebody").touch()
    code, printed = metarl_command("push", "zoo/point_navigation", f"hf://{NAME}")
    assert code == 2
    (line,) = printed.err.splitlines()
    assert line.startswith(f"error: expected to write to hf://{NAME}, could not: ")


def test_without_the_extra_the_remedy_is_told(metarl_command, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(metarl.RunError, match=r'found none: pip install "metarl-control\[hub\]"'):
        metarl.load(f"hf://{NAME}")
    code, printed = metarl_command("push", "zoo/point_navigation", f"hf://{NAME}")
    assert code == 2
    (line,) = printed.err.splitlines()
    assert line.endswith('pip install "metarl-control[hub]"')
