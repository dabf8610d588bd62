"""Every command on the README, the tutorial and the pages of docs runs as it stands, on small runs."""

import re
import shlex
import subprocess
import sys
from contextlib import suppress
from itertools import dropwhile
from pathlib import Path
from unittest.mock import patch

import pytest

from metarl.command import COMMANDS, main
from metarl.experiment.shipped import find_config
from metarl.meta_learners.registry import META_LEARNERS
from metarl.policies.registry import POLICIES

ROOT = Path(__file__).parents[1]
SMALL_RUN = {
    "sampling.tasks": "2",
    "sampling.episodes": "2",
    "environment.horizon": "8",
    "policy.hidden_sizes": "[4, 4]",
    "training.iterations": "1",
    "training.evaluation_tasks": "2",
    "training.evaluation_episodes": "2",
    "training.evaluation_steps": "1",
    "training.figures": "false",
}
SMALL_SUPERVISED = {
    "training.iterations": "1",
    "training.tasks": "1",
    "training.evaluation_tasks": "2",
}
FEW = ["--episodes", "2"]
SMALLER = {
    "train": [word for key, value in SMALL_RUN.items() for word in (f"--{key}", value)],
    "train examples": [word for key, value in SMALL_SUPERVISED.items() for word in (f"--{key}", value)],
    "adapt": FEW,
    "evaluate": [*FEW, "--tasks", "2"],
    "diagnose": [*FEW, "--tasks", "2", "--rounds", "2"],
    "zoo": [],
    "render": ["--length", "3", "--width", "32", "--height", "32"],
}
"""What makes a command small; the last word for an option counts."""
INSTALLS = {"git", "cd", "python3", ".", "pip", "pytest", "export"}
"""Done by .ci/run, in an environment of its own."""
TOO_LARGE = {"compare", "benchmark", "sinusoid", "push"}
"""Run on small inputs, or where no network is, by tests of their own; here their options are looked up."""


def commands(page):
    """The commands of a page's blocks, each as its words, without comments."""
    text = "\n".join(re.findall(r"```bash\n(.*?)```", (ROOT / page).read_text(), re.DOTALL))
    lines = text.replace("\\\n", " ").replace(" && ", "\n").splitlines()
    return [words for words in (shlex.split(line, comments=True) for line in lines) if words]


def metarl(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["metarl", *words])
    return main()


def execute(words, monkeypatch, capsys):
    """Runs one command in this folder, small; settings before it (`NAME=value`) are the shell's."""
    program, *rest = dropwhile(lambda word: re.match(r"\w+=", word), words)
    if program == "tensorboard":
        command = [sys.executable, "-m", "tensorboard.main", "--inspect", *rest]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert "first_step" in done.stdout, done.stderr
    elif program == "torchrun":
        command = [sys.executable, "-m", "torch.distributed.run", *rest, *SMALLER["train"]]
        done = subprocess.run(command, capture_output=True, text=True, timeout=280)
        assert done.returncode == 0, done.stderr
    elif program != "metarl":
        assert program in INSTALLS, words
    elif rest[0] in TOO_LARGE:
        assert_options_are_known(rest, monkeypatch, capsys)
    else:
        examples = rest[0] == "train" and rest[1].startswith(("glyphs/", "sinusoid/"))
        smaller = SMALLER["train examples" if examples else rest[0]]
        if "--policy.name" in rest:  # a policy of a page's own has no hidden layers
            at = smaller.index("--policy.hidden_sizes")
            smaller = smaller[:at] + smaller[at + 2 :]
        code = metarl(monkeypatch, *rest, *smaller)
        assert code == 0, f"{words}: {capsys.readouterr()}"


def assert_options_are_known(words, monkeypatch, capsys):
    command, *rest = words
    config = rest[:1] if command == "train" and rest and "/" in rest[0] else []
    with suppress(SystemExit):
        metarl(monkeypatch, command, *config, "--help")
    known = capsys.readouterr().out
    options = [word for word in rest if word.startswith("--")]
    if any("." in option for option in options):  # a key of the config that the command takes
        with suppress(SystemExit):
            metarl(monkeypatch, "train", "--help")
        known += capsys.readouterr().out
    assert not [option for option in options if option.removeprefix("--") not in known], words


def files_for(page, folder):
    """What a page tells its reader to write."""
    for name, text in re.findall(r"`([\w.]+)`:\n\n(?:<!-- .*? -->\n)?```\w+\n(.*?)```", page, re.DOTALL):
        (folder / name).write_text(text)


PAGES = ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))]
OTHER_MACHINES = {"docs/environments/MetaWorld.md"}
"""Meta-World's commands need its own virtual environment."""


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page) and page not in OTHER_MACHINES])
def test_a_pages_commands_run(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    files_for((ROOT / page).read_text(), tmp_path)
    found = commands(page)
    if not any(words[:3] == ["metarl", "train", "quickstart"] for words in found):
        metarl(monkeypatch, "train", "quickstart", *SMALLER["train"])
    with patch.dict(POLICIES), patch.dict(META_LEARNERS):  # what its files register is the page's alone
        for words in found:
            execute(words, monkeypatch, capsys)


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_the_text_have_options_that_exist(page, monkeypatch, capsys):
    prose = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)
    for line in re.findall(r"`metarl ([^`]+)`", prose):
        words = shlex.split(line.replace("|", " ").replace("...", ""))
        if words[0] in COMMANDS:
            assert_options_are_known(words, monkeypatch, capsys)


def test_shipped_configs_that_pages_name_are_there():
    text = "".join((ROOT / page).read_text() for page in PAGES)
    for name in set(re.findall(r"\b((?:point_navigation|half_cheetah_\w+|meta_world)/[a-z0-9_]+)\b", text)):
        assert find_config(name).is_file()
