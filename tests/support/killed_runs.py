"""Kills trainings with signal 9 at random moments, goes on with them, and compares where they end.

python -m tests.support.killed_runs KILLS SEED

Every learner in turn, every fifth run with two ranks. A training is a forked process, so that no kill waits
for imports.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path

import torch

import metarl
from metarl.math.parameters import Parameters
from metarl.runs.checkpoint import load_checkpoint
from tests.support.rank_cases import BY_GRADIENT, CASES


def _start(sections: dict[str, object], rank: int, ranks: int, port: int) -> int:
    """Forks one rank of a training; returns its process id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        if ranks > 1:
            os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_RANK": str(rank)}
            os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(ranks), "LOCAL_WORLD_SIZE": str(ranks)}
        metarl.train(sections, resume=True, quiet=True)
        code = 0
    except Exception as error:
        print(f"rank {rank}: {type(error).__name__}: {error}", file=sys.stderr)
    finally:
        os._exit(code)


def _trained(sections: dict[str, object], ranks: int, seconds: float) -> bool | None:
    """Trains until the end, or until it is killed after so many seconds; None of the latter."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    pids = [_start(sections, rank, ranks, port) for rank in range(ranks)]
    end, running, codes = time.monotonic() + seconds, set(pids), []
    while running and time.monotonic() < end:
        for pid in list(running):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                running.remove(pid)
                codes.append(os.waitstatus_to_exitcode(status))
        time.sleep(0.002)
    for pid in running:
        os.kill(pid, signal.SIGKILL)
    for pid in running:
        os.waitpid(pid, 0)
    return None if running else not any(codes)


def _parameters(folder: Path) -> Parameters:
    return load_checkpoint(folder).state.parameters


def kill(kills: int, seed: int) -> dict[str, int]:
    """Kills so many times; returns the kills and the finished runs, all of which ended as undisturbed ones.

    Raises:
        AssertionError: a run did not go on, or ended elsewhere.
    """
    rng, done, runs, by_ranks = random.Random(seed), 0, 0, 0
    with tempfile.TemporaryDirectory() as place:
        expected: dict[str, tuple[Parameters, float]] = {}
        while done < kills:
            turn = runs + 2 * seed
            name, ranks = list(CASES)[turn % len(CASES)], 1 + (turn % 5 == 4)
            sections = CASES[name]
            if name in BY_GRADIENT:
                sections = {**sections, "training": {**sections["training"], "threads": 1}}
            if name not in expected:
                started = time.monotonic()
                assert _trained({**sections, "run_dir": f"{place}/{name}"}, 1, 600), name
                expected[name] = _parameters(Path(place, name)), time.monotonic() - started
            wanted, seconds = expected[name]
            folder = Path(place, f"{name}_{runs}")
            ended = None
            while ended is None:
                patience = seconds * rng.uniform(0.02, 1.0) if done < kills else 600
                ended = _trained({**sections, "run_dir": str(folder)}, ranks, patience)
                done += ended is None
                by_ranks += ended is None and ranks > 1
                seconds *= 1.05
            assert ended, f"{name} with {ranks} ranks, seed {seed}: did not go on"
            found = _parameters(folder)
            far = 0.0 if ranks == 1 else 1e-6
            for key, value in wanted.items():
                distance = (found[key] - value).double().norm()
                assert distance <= far * value.double().norm(), (
                    f"{name}, {ranks} ranks: {key} is {distance} away"
                )
            runs += 1
    return {"kills": done, "kills of two ranks": by_ranks, "runs": runs}


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(kill(int(sys.argv[1]), int(sys.argv[2])))
