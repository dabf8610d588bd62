"""Small configs to compare, and the command in this process."""

import io
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from unittest.mock import patch

import pytest
import torch
import yaml

from metarl.commands import compare as compare_script
from tests.conftest import SMALL
from tests.support.warm_commands import ROOT

BUDGET = 700


@pytest.fixture
def configs(tmp_path):
    """Small configs: MAML, Reptile, one that trains nothing, and one from scratch."""
    kinds = {
        "maml": ({"name": "maml"}, 5),
        "reptile": ({"name": "reptile", "inner_steps": 2}, 5),
        "untrained": ({"name": "maml"}, 0),
        "scratch": ({"num_envs": 2, "settings": {"n_steps": 16, "batch_size": 32}}, 5),
    }
    paths = []
    for name, (learner, iterations) in kinds.items():
        config = {**SMALL, "meta_learner": learner, "run_dir": "unused"}
        if name == "scratch":
            config["from_scratch"] = config.pop("meta_learner")
        config["training"] = {**SMALL["training"], "iterations": iterations}
        if name == "scratch":
            del config["sampling"]
            evaluation = {key: value for key, value in SMALL["training"].items() if "evaluation" in key}
            config["training"] = evaluation
        paths.append(tmp_path / f"{name}.yaml")
        paths[-1].write_text(yaml.safe_dump(config))
    return paths


def command(configs, tmp_path, *options):
    counts = ["--seeds", 2, "--tasks", 3, "--episodes", 2, "--steps", 2, "--evaluations", 2]
    """The script and its words."""
    words = [*configs, "--budget", BUDGET, "--output", tmp_path / "out", *counts, *options]
    return [str(ROOT / "scripts/compare.py"), *map(str, words)]


def compare(configs, tmp_path, *options):
    """The script in this process: its exit code and what it printed."""
    out, err = io.StringIO(), io.StringIO()
    handler, threads = signal.getsignal(signal.SIGTERM), torch.get_num_threads()
    words = command(configs, tmp_path, *options)
    try:
        with patch.object(sys, "argv", words), redirect_stdout(out), redirect_stderr(err):
            code = compare_script.main()
    finally:
        signal.signal(signal.SIGTERM, handler)
        torch.set_num_threads(threads)
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def judged_file(run_dir):
    (path,) = (run_dir / "judged").iterdir()
    return path
