"""Stops commands by SIGINT and SIGTERM at random moments, their imports and their ends included.

python -m tests.support.interrupted_commands TRIALS SEED

Every command in turn. A training that was stopped goes on to the same bits, and no other command changes the
run that it takes.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
import yaml

import metarl
from metarl.runs.checkpoint import load_checkpoint
from metarl.runs.files import CHECKPOINT, CONFIG, POLICY
from tests.conftest import SMALL

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'envs'}"}
TASK = '{"goal": [0.1, 0.2]}'
SMALL_FILM = ["--length", "4", "--width", "64", "--height", "64"]
SHORT = ["--episodes", "2", "--steps", "1"]
COMMANDS = {
    "train": ["train", "small.yaml", "--quiet", "--resume", "true", "--run_dir", "OUT"],
    "adapt": ["adapt", "whole", "--task", TASK, *SHORT],
    "evaluate": ["evaluate", "whole", "--tasks", "2", *SHORT],
    "render": ["render", "whole", "--task", TASK, "--output", "OUT.gif", *SMALL_FILM],
    "compare": [
        "compare",
        "small.yaml",
        "--budget",
        "300",
        "--seeds",
        "1",
        "--tasks",
        "2",
        *SHORT,
        "--output",
        "OUT",
    ],
}


def _ended(words: Sequence[str], place: Path, seconds: float, number: int) -> tuple[int, str]:
    """Exit code and errors of a command that a signal reaches after so many seconds."""
    command = [sys.executable, "-m", "metarl", *words]
    process = subprocess.Popen(
        command,
        cwd=place,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        told = process.communicate(timeout=seconds)[1]
    except subprocess.TimeoutExpired:
        process.send_signal(number)
        told = process.communicate(timeout=120)[1]
    return process.returncode, told


def _kind(code: int, told: str) -> str | None:
    """What became of a command: finished, stopped, or not ours yet; None where it ended otherwise."""
    if code in (0, 130) and not any(word in told for word in ("Traceback", "Exception", "Error", "Warning")):
        return "stopped" if code else "finished"
    return "before" if code in (1, -signal.SIGINT, -signal.SIGTERM) and str(ROOT) not in told else None


def interrupt(trials: int, seed: int) -> Counter[str]:
    """Stops so many commands; returns how many of each ended how.

    Raises:
        AssertionError: one ended otherwise, changed what it should not, or did not go on.
    """
    rng, found = random.Random(seed), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "small.yaml").write_text(yaml.safe_dump({**SMALL, "run_dir": "unused"}))
        metarl.train(place / "small.yaml", overrides={"run_dir": f"{place}/whole"}, quiet=True)
        kept = {name: (place / "whole" / name).read_bytes() for name in (CHECKPOINT, CONFIG, POLICY)}
        seconds: dict[str, float] = {}
        for trial in range(trials):
            name = list(COMMANDS)[trial % len(COMMANDS)]
            words = [word.replace("OUT", f"out_{trial}") for word in COMMANDS[name]]
            if name not in seconds:
                started = time.monotonic()
                whole = _ended(
                    [word.replace("OUT", f"whole_{name}") for word in COMMANDS[name]], place, 600, 0
                )
                assert _kind(*whole) == "finished", f"{name}: {whole}"
                seconds[name] = time.monotonic() - started
            number = rng.choice((signal.SIGINT, signal.SIGTERM))
            after = rng.uniform(0.0, 1.05) * seconds[name]
            code, told = _ended(words, place, after, number)
            kind, what = _kind(code, told), f"{name}, {number.name} after {after:.2f} s"
            assert kind, f"{what}: exit code {code}, {told}"
            found[f"{name} {kind}"] += 1
            for file, data in kept.items():
                assert (place / "whole" / file).read_bytes() == data, f"{what}: {file} changed"
            if name == "train":
                _check_goes_on(place / f"out_{trial}", place, what)
    return found


def _check_goes_on(run: Path, place: Path, what: str) -> None:
    metarl.train(place / "small.yaml", overrides={"run_dir": str(run)}, resume=True, quiet=True)
    ours, whole = (load_checkpoint(one).state.parameters for one in (run, place / "whole"))
    assert all(torch.equal(ours[name], value) for name, value in whole.items()), what


if __name__ == "__main__":
    print(dict(interrupt(int(sys.argv[1]), int(sys.argv[2]))))
