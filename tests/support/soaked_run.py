"""Trains one small run for long, killed and resumed in between, and measures what every process of it holds.

python -m tests.support.soaked_run ITERATIONS KILLS SEED

Kills fall into the first half of the iterations; the last process makes the second half in one go.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

import metarl

WARM_UP = 20
"""Iterations of a process, after which it should hold no more."""
SECTIONS: dict[str, Any] = {
    "seed": 3,
    "environment": {"id": "metarl/PointNavigation-v0", "horizon": 5, "options": {"preset": "maml"}},
    "policy": {"hidden_sizes": [4]},
    "sampling": {"tasks": 2, "episodes": 2},
    "meta_learner": {"name": "reptile", "inner_step_size": 0.1},
    "training": {
        "threads": 1,
        "evaluate_every": 1_000,
        "evaluation_tasks": 2,
        "evaluation_episodes": 2,
        "evaluation_steps": 1,
        "figures": False,
    },
}
Held = dict[str, int]


def _held() -> Held:
    """Resident kilobytes, open files, threads and child processes of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    threads = os.listdir("/proc/self/task")
    children = [Path(f"/proc/self/task/{one}/children").read_text().split() for one in threads]
    return {
        "kilobytes": pages * os.sysconf("SC_PAGE_SIZE") // 1024,
        "files": len(os.listdir("/proc/self/fd")),
        "threads": len(threads),
        "processes": sum(map(len, children)),
    }


def _start(sections: dict[str, Any], log: Path) -> int:
    """Forks a training that writes what it holds after every iteration; returns its process id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        with log.open("w", buffering=1) as lines:

            def note(iteration: metarl.Iteration) -> None:
                lines.write(json.dumps({"iteration": iteration.number, **_held()}) + "\n")

            metarl.train(sections, observers=[note], resume=True, quiet=True)
        code = 0
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    finally:
        os._exit(code)


def _notes(log: Path) -> Iterator[Held]:
    """Those that were written whole."""
    if log.exists():
        for line in log.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                yield json.loads(line)


def _killed_at(pid: int, log: Path, iteration: int) -> bool:
    """Waits until a training has made an iteration, and kills it; whether there was something to kill."""
    while not os.waitpid(pid, os.WNOHANG)[0]:
        last = max((note["iteration"] for note in _notes(log)), default=-1)
        if last >= iteration:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return True
        time.sleep(0.05)
    return False


def _sizes(folder: Path) -> dict[str, int]:
    """Bytes of the run's files by name; those of events all together."""
    sizes: dict[str, int] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = "events" if "tfevents" in path.name else str(path.relative_to(folder))
            sizes[name] = sizes.get(name, 0) + path.stat().st_size
    return sizes


def soak(iterations: int, kills: int, seed: int) -> dict[str, Any]:
    """Returns what each process held after its warm-up and at its end, and the folder's sizes beside a short
    run's.

    Raises:
        AssertionError: a training ended before it was killed, or with an error.
    """
    rng = random.Random(seed)
    ends = sorted(rng.sample(range(WARM_UP, iterations // 2), kills))
    with tempfile.TemporaryDirectory() as place:
        folder, logs = Path(place, "long"), [Path(place, f"{leg}.jsonl") for leg in range(kills + 1)]
        for name, number in (("short", WARM_UP), ("long", iterations)):
            sections = {**SECTIONS, "training": {**SECTIONS["training"], "iterations": number}}
            sections["run_dir"] = f"{place}/{name}"
            if name == "long":
                for end, log in zip(ends, logs, strict=False):
                    assert _killed_at(_start(sections, log), log, end), f"it ended before iteration {end}"
            status = os.waitpid(_start(sections, logs[-1]), 0)[1]
            assert os.waitstatus_to_exitcode(status) == 0, f"the {name} run ended badly"
        legs = [list(_notes(log)) for log in logs]
        made = sorted({note["iteration"] for leg in legs for note in leg})
        assert made == list(range(iterations)), "iterations are missing"
        long = [leg for leg in legs if len(leg) > WARM_UP + 5]
        rows = len(Path(folder, "progress.csv").read_text().splitlines())
        return {
            "legs": [{"warm": leg[WARM_UP], "end": leg[-1]} for leg in long],
            "rows": rows,
            "short": _sizes(Path(place, "short")),
            "long": _sizes(folder),
        }


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(soak(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
